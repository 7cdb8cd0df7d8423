-- Bad rows: a day and state with messages that have been due for longer than $bound_seconds at $now. A
-- message that was never asked for is due since it was sent, but not before it was stored.
-- Parameters: bound_seconds and those of the due rule, with force: only the age limits count.
WITH open_messages AS (
  SELECT
    sent_date,
    delivery_status,
    sent_at,
    last_polled_at,
    pushed_at,
    coalesce(stretch, 1) AS stretch,
    overdue_seconds(
      sent_at, last_polled_at, pushed_at, coalesce(stretch, 1), $now::TIMESTAMPTZ,
      $min_interval_seconds, $age_share, $most_delay_seconds
    ) AS overdue_seconds
  FROM messages
  LEFT JOIN last_pushes USING (sent_date, app_id, msg_id)
  LEFT JOIN push_stretch USING (app_id)
  WHERE NOT is_final AND last_polled_at IS NOT NULL
  UNION ALL
  SELECT
    messages.sent_date,
    messages.delivery_status,
    messages.sent_at,
    messages.last_polled_at,
    pushed_at,
    coalesce(stretch, 1) AS stretch,
    epoch_us($now::TIMESTAMPTZ) / 1e6 - greatest(epoch_us(messages.sent_at), epoch_us(stored.stored_at)) / 1e6
    - wait_seconds(
      messages.sent_at, NULL::TIMESTAMPTZ, pushed_at, coalesce(stretch, 1),
      $min_interval_seconds, $age_share, $most_delay_seconds
    ) AS overdue_seconds
  FROM messages
  LEFT JOIN stored USING (app_id, msg_id)
  LEFT JOIN last_pushes USING (sent_date, app_id, msg_id)
  LEFT JOIN push_stretch USING (app_id)
  WHERE NOT messages.is_final AND messages.last_polled_at IS NULL
)
SELECT
  sent_date::VARCHAR AS sent_date,
  delivery_status,
  count(*) AS messages,
  round(max(overdue_seconds) / 3600, 2) AS overdue_hours
FROM open_messages
WHERE
  overdue_seconds > $bound_seconds
  AND is_due(
    sent_at, last_polled_at, pushed_at, stretch, $now::TIMESTAMPTZ, $force,
    $give_up_seconds, $memory_seconds, $min_interval_seconds, $age_share, $most_delay_seconds
  )
GROUP BY ALL
ORDER BY overdue_hours DESC;
