-- Grain: one row per day of sending, in order: the figures shown to people, from the daily roll-up of all messages.
-- delivery_rate: delivered / sent. latency_p95_seconds: of delivered messages, exact.
SELECT
  sent_date,
  sent,
  delivered,
  failed,
  sending + not_found + pending AS outstanding,
  unknown,
  invalid_id,
  delivery_rate,
  latency_p95_seconds,
  is_mature
FROM delivery_rollups_daily
WHERE dimension = 'all'
ORDER BY sent_date;
