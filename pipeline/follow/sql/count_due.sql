-- Grain: one row per app with due messages of `polled`, and their count. It reads no id, half the cost.
-- Parameters: now, force, give_up_seconds, memory_seconds, min_interval_seconds, age_share.
SELECT
  app_id,
  count(*) AS due
FROM polled
WHERE
  NOT is_final
  AND is_due(
    sent_at, last_polled_at, $now::TIMESTAMPTZ, $force,
    $give_up_seconds, $memory_seconds, $min_interval_seconds, $age_share
  )
GROUP BY app_id;
