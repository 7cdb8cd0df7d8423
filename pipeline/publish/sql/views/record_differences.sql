-- Grain: one row per message of which the platform's record says another state than getReport. Messages that are still
-- under way here are left out.
SELECT
  messages.app_id,
  messages.msg_id,
  messages.sent_date,
  messages.sent_at,
  messages.country,
  messages.sender_id,
  messages.delivery_status,
  platform_record.status AS record_status,
  messages.receive_time,
  platform_record.receive_time AS record_receive_time,
  platform_record.read_at
FROM platform_record
JOIN messages USING (app_id, msg_id)
WHERE
  messages.delivery_status IN ('delivered', 'failed', 'unknown', 'invalid_id')
  AND platform_record.status IN ('success', 'failed')
  AND messages.delivery_status <> CASE platform_record.status WHEN 'success' THEN 'delivered' ELSE 'failed' END;
