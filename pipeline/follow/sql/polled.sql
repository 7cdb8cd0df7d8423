-- Grain: one row a sent message: when it was last answered, and whether an answer was final: as messages.sql has it.
WITH answers AS (
  SELECT
    app_id,
    msg_id,
    max(observed_at) AS last_polled_at,
    bool_or(status IN ('delivered', 'failed', 'invalid_id')) AS is_final
  FROM delivery_reports
  GROUP BY app_id, msg_id
)
SELECT
  sent.app_id,
  sent.msg_id,
  sent.sent_at,
  coalesce(answers.is_final, false) AS is_final,
  answers.last_polled_at
FROM sent_messages AS sent
LEFT JOIN answers USING (app_id, msg_id);
