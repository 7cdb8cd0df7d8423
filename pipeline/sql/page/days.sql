-- Grain: one row a day of sending, in order.
SELECT
  sent_date::VARCHAR AS label,
  sent,
  delivered,
  failed,
  outstanding,
  unknown,
  delivery_rate,
  delivery_rate_final,
  latency_p95_seconds,
  is_mature
FROM delivery_by_day
ORDER BY sent_date;
