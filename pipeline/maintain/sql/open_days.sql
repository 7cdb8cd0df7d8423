-- Grain: one row a day with a message that is due (the rule of polling.py) or that silence has made unknown since.
-- Parameters: now, unknown_after_seconds, give_up_seconds, memory_seconds, min_interval_seconds, age_share.
WITH aged AS (
  SELECT
    sent_date,
    delivery_status,
    last_polled_at,
    (epoch_us($now::TIMESTAMPTZ) - epoch_us(sent_at)) / 1e6 AS age,
    (epoch_us(last_polled_at) - epoch_us(sent_at)) / 1e6 AS age_at_answer,
    (epoch_us($now::TIMESTAMPTZ) - epoch_us(last_polled_at)) / 1e6 AS waited
  FROM messages
  WHERE NOT is_final
)
SELECT DISTINCT sent_date
FROM aged
WHERE
  (delivery_status IN ('sending', 'not_found') AND age > $unknown_after_seconds)
  OR (
    age <= $memory_seconds
    AND (
      last_polled_at IS NULL
      OR (age <= $give_up_seconds AND waited >= greatest($min_interval_seconds, age_at_answer * $age_share))
    )
  )
ORDER BY sent_date;
