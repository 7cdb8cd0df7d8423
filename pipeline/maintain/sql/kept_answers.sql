-- Grain: one row per message of one partition that is final and whose final answer was lost, as an answer.
-- When the answer arrived is not kept in `messages`: the latest answer's time stands for it.
SELECT
  app_id,
  msg_id,
  number,
  country,
  delivery_status AS status,
  receive_time,
  last_polled_at AS observed_at,
  'repaired' AS call_id,
  CAST(NULL AS VARCHAR) AS extra
FROM messages
ANTI JOIN (SELECT app_id, msg_id FROM delivery_reports WHERE status IN (/* final_statuses */)) AS answered
  USING (app_id, msg_id)
WHERE is_final;
