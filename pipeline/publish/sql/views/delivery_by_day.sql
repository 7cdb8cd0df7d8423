-- Grain: one row per day of sending, of all messages. Rates and percentiles are those of the roll-up.
SELECT
  sent_date,
  sent,
  delivered,
  failed,
  sending + not_found + pending AS outstanding,
  unknown,
  invalid_id,
  delivery_rate,
  /* rate_interval */,
  delivery_rate_final,
  dlr_coverage,
  latency_p50_seconds,
  latency_p95_seconds,
  latency_p99_seconds,
  is_mature
FROM delivery_rollups_daily
WHERE dimension = 'all'
ORDER BY sent_date;
