-- Grain: one row if a message of `polled` is due. It reads no id, half the cost.
-- Parameters: now, force, give_up_seconds, memory_seconds, min_interval_seconds, age_share.
SELECT 1
FROM polled
WHERE
  NOT is_final
  AND is_due(
    sent_at, last_polled_at, $now::TIMESTAMPTZ, $force,
    $give_up_seconds, $memory_seconds, $min_interval_seconds, $age_share
  )
LIMIT 1;
