-- Grain: one row per id that is asked for now.
-- Parameters: now, force, give_up_seconds, memory_seconds, min_interval_seconds, age_share.
SELECT
  app_id,
  msg_id
FROM polled
WHERE
  NOT is_final
  AND is_due(
    sent_at, last_polled_at, $now::TIMESTAMPTZ, $force,
    $give_up_seconds, $memory_seconds, $min_interval_seconds, $age_share
  );
