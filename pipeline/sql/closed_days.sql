-- Grain: one row a day of sending that has rates: whether each of its messages is final.
SELECT
  sent_date,
  sent = delivered + failed + invalid_id AS is_closed
FROM delivery_rollups_daily
WHERE dimension = 'all';
