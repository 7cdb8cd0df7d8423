-- Grain: one row per sent message: when it was last answered, and whether an answer was final, as in messages.sql.
-- An answer that is ahead of the variable polled_at counts only where there is no other.
WITH answers AS (
  SELECT
    sent_date,
    app_id,
    msg_id,
    coalesce(
      max(observed_at) FILTER (WHERE NOT is_ahead(observed_at, getvariable('polled_at')::TIMESTAMPTZ)), max(observed_at)
    ) AS last_polled_at,
    bool_or(status IN (/* final_statuses */)) AS is_final
  FROM delivery_reports
  GROUP BY sent_date, app_id, msg_id
)
SELECT
  sent.app_id,
  sent.msg_id,
  sent.sent_date,
  sent.sent_at,
  coalesce(answers.is_final, false) AS is_final,
  answers.last_polled_at
FROM sent_messages AS sent
LEFT JOIN answers USING (sent_date, app_id, msg_id);
