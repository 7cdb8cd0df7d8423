-- Grain: one row a day of sending that has rates: the messages counted in it, and whether each of them is final.
SELECT
  sent_date,
  sum(sent)::BIGINT AS sent,
  sum(sent) = sum(delivered + failed + invalid_id) AS is_closed
FROM delivery_rollups_daily
WHERE dimension = 'all'
GROUP BY sent_date;
