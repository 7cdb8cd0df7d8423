-- Grain: one row per message of the platform's record that no sent log has.
SELECT
  app_id,
  msg_id,
  number,
  country,
  status AS record_status,
  receive_time,
  sent_date,
  read_at
FROM platform_record
ANTI JOIN sent_messages USING (app_id, msg_id);
