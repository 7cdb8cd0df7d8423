-- Bad rows: a day and state with messages that have been due for longer than $bound_seconds at $now. The rule is that
-- of polling.py; a message that was never asked for is due since it was sent, but not before it was stored.
-- Parameters: now, bound_seconds, give_up_seconds, memory_seconds, min_interval_seconds, age_share.
WITH due AS (
  SELECT
    messages.sent_date,
    messages.delivery_status,
    epoch_us($now::TIMESTAMPTZ) / 1e6 - epoch_us(messages.sent_at) / 1e6 AS age,
    messages.last_polled_at IS NULL AS is_new,
    CASE
      WHEN messages.last_polled_at IS NULL THEN
        epoch_us($now::TIMESTAMPTZ) / 1e6 - greatest(epoch_us(messages.sent_at), epoch_us(stored.stored_at)) / 1e6
      ELSE
        (epoch_us($now::TIMESTAMPTZ) - epoch_us(messages.last_polled_at)) / 1e6
        - greatest(
          $min_interval_seconds,
          (epoch_us(messages.last_polled_at) - epoch_us(messages.sent_at)) / 1e6 * $age_share
        )
    END AS overdue_seconds
  FROM messages
  LEFT JOIN stored
    ON messages.last_polled_at IS NULL AND messages.app_id = stored.app_id AND messages.msg_id = stored.msg_id
  WHERE NOT messages.is_final
)
SELECT
  sent_date::VARCHAR AS sent_date,
  delivery_status,
  count(*) AS messages,
  round(max(overdue_seconds) / 3600, 2) AS overdue_hours
FROM due
WHERE
  overdue_seconds > $bound_seconds
  AND age <= $memory_seconds
  AND (is_new OR age <= $give_up_seconds)
GROUP BY ALL
ORDER BY overdue_hours DESC;
