-- Grain: one row an answer, as the state of its message: right where no message has a second answer.
SELECT
  app_id,
  msg_id,
  class,
  status,
  receive_time,
  number,
  country,
  1 AS poll_count,
  observed_at AS first_polled_at,
  observed_at AS last_polled_at
FROM answers;
