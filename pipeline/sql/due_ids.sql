-- Grain: one row an id that is asked for now. The rule of polling.py over columns.
-- Parameters: now, force, give_up_seconds, memory_seconds, min_interval_seconds, age_share.
WITH answers AS (
  SELECT
    app_id,
    msg_id,
    max(observed_at) AS last_answer_at,
    bool_or(status IN ('delivered', 'failed', 'invalid_id')) AS is_final
  FROM delivery_reports
  GROUP BY app_id, msg_id
),
aged AS (
  SELECT
    sent.app_id,
    sent.msg_id,
    answers.last_answer_at,
    coalesce(answers.is_final, false) AS is_final,
    (epoch_us($now::TIMESTAMPTZ) - epoch_us(sent.sent_at)) / 1e6 AS age,
    (epoch_us(answers.last_answer_at) - epoch_us(sent.sent_at)) / 1e6 AS age_at_answer,
    (epoch_us($now::TIMESTAMPTZ) - epoch_us(answers.last_answer_at)) / 1e6 AS waited
  FROM sent_messages AS sent
  LEFT JOIN answers USING (app_id, msg_id)
)
SELECT
  app_id,
  msg_id
FROM aged
WHERE
  NOT is_final
  AND age <= $memory_seconds
  AND (
    last_answer_at IS NULL
    OR (
      age <= $give_up_seconds
      AND ($force OR waited >= greatest($min_interval_seconds, age_at_answer * $age_share))
    )
  );
