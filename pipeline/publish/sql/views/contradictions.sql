-- Grain: one row per message and pushed status that its final answer contradicts: pushed as delivered and answered as
-- failed, or the other way. Repeated reports are one row.
SELECT
  pushed.app_id,
  pushed.msg_id,
  pushed.sent_date,
  messages.country,
  messages.sender_id,
  pushed.status AS pushed_status,
  messages.delivery_status,
  arg_max(pushed.reason, pushed.received_at) AS pushed_reason,
  min(pushed.received_at) AS received_at,
  messages.receive_time
FROM pushed_reports AS pushed
JOIN messages
  ON
    pushed.sent_date = messages.sent_date
    AND pushed.app_id = messages.app_id
    AND pushed.msg_id = messages.msg_id
WHERE messages.delivery_status IN ('delivered', 'failed') AND pushed.status <> messages.delivery_status
GROUP BY ALL
ORDER BY received_at DESC, pushed.app_id, pushed.msg_id;
