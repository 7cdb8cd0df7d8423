-- Grain: one row per bin of days and place of one dimension, and one per bin, over delivered messages whose time of
-- receipt is known: how many arrived within 5 seconds, 30 seconds and 5 minutes.
SELECT
  page_days.bin,
  countries.place AS country,
  senders.place AS sender_id,
  apps.place AS app_id,
  count(*) AS timed,
  count(*) FILTER (WHERE messages.latency_seconds <= 5) AS within_5s,
  count(*) FILTER (WHERE messages.latency_seconds <= 30) AS within_30s,
  count(*) FILTER (WHERE messages.latency_seconds <= 300) AS within_5min
FROM messages
INNER JOIN page_days USING (sent_date)
INNER JOIN page_names AS countries
  ON countries.dimension = 'country' AND messages.country IS NOT DISTINCT FROM countries.value
INNER JOIN page_names AS senders
  ON senders.dimension = 'sender_id' AND messages.sender_id IS NOT DISTINCT FROM senders.value
INNER JOIN page_names AS apps
  ON apps.dimension = 'app_id' AND messages.app_id IS NOT DISTINCT FROM apps.value
WHERE messages.delivery_status = 'delivered' AND messages.latency_seconds IS NOT NULL
GROUP BY GROUPING SETS ((bin), (bin, countries.place), (bin, senders.place), (bin, apps.place));
