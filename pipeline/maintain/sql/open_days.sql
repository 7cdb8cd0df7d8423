-- Grain: one row per day with a message that is due, or that silence has made unknown since, or that a clock which was
-- ahead made unknown too early.
-- Parameters: unknown_after_seconds and those of the due rule.
SELECT DISTINCT sent_date
FROM messages
LEFT JOIN last_pushes USING (sent_date, app_id, msg_id)
LEFT JOIN push_stretch USING (app_id)
WHERE
  NOT is_final
  AND (
    (
      delivery_status IN ('sending', 'not_found')
      AND (epoch_us($now::TIMESTAMPTZ) - epoch_us(sent_at)) / 1e6 > $unknown_after_seconds
    )
    OR (
      delivery_status = 'unknown'
      AND (epoch_us($now::TIMESTAMPTZ) - epoch_us(sent_at)) / 1e6 <= $unknown_after_seconds
    )
    OR is_due(
      sent_at, last_polled_at, pushed_at, coalesce(stretch, 1), $now::TIMESTAMPTZ, $force,
      $give_up_seconds, $memory_seconds, $min_interval_seconds, $age_share, $most_delay_seconds
    )
  )
ORDER BY sent_date;
