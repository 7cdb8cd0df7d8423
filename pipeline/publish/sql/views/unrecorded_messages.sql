-- Grain: one row per logged message that the platform's record lacks.
-- The record of its day was read whole after the message had become final, or was old enough. Whether messages under way
-- are in the record is not said. Within a minute of the end of what was read, clocks may differ.
WITH spans AS (
  SELECT
    *,
    starts_at IS DISTINCT FROM lag(ends_at) OVER in_order AS is_first,
    ends_at IS DISTINCT FROM lead(starts_at) OVER in_order AS is_last
  FROM record_reads
  WINDOW in_order AS (PARTITION BY app_id ORDER BY starts_at)
)
SELECT
  messages.app_id,
  messages.msg_id,
  messages.number,
  messages.country,
  messages.sender_id,
  messages.sent_at,
  messages.sent_date,
  messages.delivery_status,
  spans.read_at
FROM messages
JOIN spans
  ON
    messages.app_id = spans.app_id
    AND messages.sent_date = spans.sent_date
ANTI JOIN platform_record
  ON
    messages.app_id = platform_record.app_id
    AND messages.msg_id = platform_record.msg_id
WHERE
  coalesce(spans.missing, 0) = 0
  AND (
    messages.sent_at < spans.settled_before
    OR (messages.is_final AND messages.last_polled_at <= spans.read_at)
  )
  AND NOT (spans.is_first AND messages.sent_at < spans.starts_at + INTERVAL 1 MINUTE)
  AND NOT (spans.is_last AND messages.sent_at >= spans.ends_at - INTERVAL 1 MINUTE);
