-- Grain: one row per message of one partition that was derived and whose record was lost, as it was logged.
SELECT
  app_id,
  msg_id,
  number,
  country,
  sender_id,
  order_id,
  sent_at,
  'repaired' AS file,
  CAST(NULL AS BIGINT) AS line,
  labels
FROM messages
ANTI JOIN sent_messages USING (app_id, msg_id);
