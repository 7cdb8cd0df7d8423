-- Grain: one row per day of sending, oldest first, of the latest $days_at_most; ago counts back from the latest day.
-- label and day are the same: the chart turns one of them into a time.
SELECT
  sent_date::VARCHAR AS label,
  sent_date::VARCHAR AS day,
  max(sent_date) OVER () - sent_date AS ago,
  sent,
  delivered,
  failed,
  outstanding,
  unknown,
  invalid_id,
  delivery_rate,
  delivery_rate_final,
  latency_p50_seconds,
  latency_p95_seconds,
  latency_p99_seconds,
  is_mature
FROM delivery_by_day
WHERE sent_date > (SELECT max(sent_date) FROM delivery_by_day) - $days_at_most::INTEGER
ORDER BY sent_date;
