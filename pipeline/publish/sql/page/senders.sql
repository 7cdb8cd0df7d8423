-- Grain: one row a sender over the span of $days that ends with the latest day (null: all days), most messages first.
SELECT
  sender_id AS label,
  sent,
  delivered,
  failed,
  outstanding,
  unknown,
  invalid_id,
  delivery_rate,
  delivery_rate_final,
  is_mature
FROM delivery_by_sender
WHERE days IS NOT DISTINCT FROM $days::INTEGER
ORDER BY sent DESC, sender_id;
