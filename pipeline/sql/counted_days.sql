-- Grain: one row a day of sending that has rates, with the messages counted in it.
SELECT
  sent_date,
  sum(sent)::BIGINT AS sent
FROM delivery_rollups_daily
WHERE dimension = 'all'
GROUP BY sent_date;
