-- Grain: one row per country and span of days with delivered messages whose latency is known.
-- Shares are of those: messages with latency_seconds <= 5, 30, 300, 3600 / messages with a latency. Two clocks measure
-- it, so a latency can be negative, which is within each. Percentiles are exact.
WITH
/* span_days */
SELECT
  span_days.days,
  messages.country,
  count(*) AS messages,
  count(*) FILTER (WHERE latency_seconds <= 5) / count(*) AS within_5s_share,
  count(*) FILTER (WHERE latency_seconds <= 30) / count(*) AS within_30s_share,
  count(*) FILTER (WHERE latency_seconds <= 300) / count(*) AS within_5min_share,
  count(*) FILTER (WHERE latency_seconds <= 3600) / count(*) AS within_1h_share,
  quantile_cont(latency_seconds, 0.50) AS latency_p50_seconds,
  quantile_cont(latency_seconds, 0.95) AS latency_p95_seconds,
  quantile_cont(latency_seconds, 0.99) AS latency_p99_seconds
FROM messages
INNER JOIN span_days USING (sent_date)
WHERE delivery_status = 'delivered' AND latency_seconds IS NOT NULL
GROUP BY span_days.days, messages.country
ORDER BY span_days.days, count(*) DESC, messages.country;
