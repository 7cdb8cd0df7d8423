-- Grain: one row per app with due messages of `polled`, and their count. It reads no id, half the cost.
-- Parameters: those of the due rule.
SELECT
  app_id,
  count(*) AS due
FROM polled
WHERE
  NOT is_final
  AND is_due(
    sent_at, last_polled_at, pushed_at, stretch, $now::TIMESTAMPTZ, $force,
    $give_up_seconds, $memory_seconds, $min_interval_seconds, $age_share, $most_delay_seconds
  )
GROUP BY app_id;
