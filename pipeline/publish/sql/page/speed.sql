-- Grain: one row per bin of days and place of one dimension, and one per bin, over delivered messages whose time of
-- receipt is known: how many arrived within 5 seconds, 30 seconds and 5 minutes.
SELECT
  bin,
  country_place AS country,
  sender_place AS sender_id,
  app_place AS app_id,
  count(*) AS timed,
  count(*) FILTER (WHERE latency_seconds <= 5) AS within_5s,
  count(*) FILTER (WHERE latency_seconds <= 30) AS within_30s,
  count(*) FILTER (WHERE latency_seconds <= 300) AS within_5min
FROM placed_messages
WHERE delivery_status = 'delivered' AND latency_seconds IS NOT NULL
GROUP BY GROUPING SETS ((bin), (bin, country_place), (bin, sender_place), (bin, app_place));
