-- Grain: one row an id that is asked for now. The rule of polling.py over columns.
-- Parameters: now, force, give_up_seconds, memory_seconds, min_interval_seconds, age_share.
WITH aged AS (
  SELECT
    app_id,
    msg_id,
    last_polled_at,
    (epoch_us($now::TIMESTAMPTZ) - epoch_us(sent_at)) / 1e6 AS age,
    (epoch_us(last_polled_at) - epoch_us(sent_at)) / 1e6 AS age_at_answer,
    (epoch_us($now::TIMESTAMPTZ) - epoch_us(last_polled_at)) / 1e6 AS waited
  FROM polled
  WHERE NOT is_final
)
SELECT
  app_id,
  msg_id
FROM aged
WHERE
  age <= $memory_seconds
  AND (
    last_polled_at IS NULL
    OR (
      age <= $give_up_seconds
      AND ($force OR waited >= greatest($min_interval_seconds, age_at_answer * $age_share))
    )
  );
