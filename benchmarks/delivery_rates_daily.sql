-- Grain: one row per day, app, country and sender, from the messages of floor and peers.
SELECT
  sent_date,
  app_id,
  country,
  sender_id,
  count(*) AS sent,
  count(*) FILTER (WHERE delivery_status = 'delivered') AS delivered,
  count(*) FILTER (WHERE delivery_status = 'failed') AS failed,
  delivered / sent AS delivery_rate,
  quantile_cont(latency_seconds, 0.50) FILTER (WHERE delivery_status = 'delivered') AS latency_p50_seconds,
  quantile_cont(latency_seconds, 0.95) FILTER (WHERE delivery_status = 'delivered') AS latency_p95_seconds,
  quantile_cont(latency_seconds, 0.99) FILTER (WHERE delivery_status = 'delivered') AS latency_p99_seconds
FROM messages
GROUP BY sent_date, app_id, country, sender_id
