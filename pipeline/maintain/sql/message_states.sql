-- Grain: one row per message of `meant`, newest first: as it was logged, and its state if that was derived.
SELECT
  sent.app_id,
  sent.msg_id,
  coalesce(messages.number, sent.number) AS number,
  coalesce(messages.country, sent.country) AS country,
  sent.sender_id,
  sent.order_id,
  sent.labels,
  sent.sent_at,
  sent.sent_date,
  sent.file,
  sent.line,
  coalesce(messages.delivery_status, 'pending') AS delivery_status,
  coalesce(messages.is_final, false) AS is_final,
  messages.receive_time,
  messages.latency_seconds,
  coalesce(messages.poll_count, 0) AS poll_count,
  messages.first_polled_at,
  messages.last_polled_at,
  messages.price,
  messages.pay,
  messages.currency,
  messages.charge_count
FROM sent_messages AS sent
SEMI JOIN meant USING (sent_date, app_id, msg_id)
LEFT JOIN messages USING (sent_date, app_id, msg_id)
ORDER BY sent.sent_at DESC, sent.app_id, sent.msg_id;
