-- Bad rows: a day with at least $fewest delivered messages whose median latency is under $shortest or over $longest
-- seconds.
-- Parameters: fewest, shortest, longest.
SELECT
  sent_date,
  delivered,
  latency_p50_seconds
FROM delivery_rollups_daily
WHERE
  dimension = 'all'
  AND delivered >= $fewest
  AND (latency_p50_seconds < $shortest OR latency_p50_seconds > $longest)
ORDER BY sent_date;
