-- Grain: one row per sender over the latest $days (null: all days), most messages first.
SELECT
  coalesce(sender_id, 'not known') AS label,
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
