-- Grain: one row a sent message of one partition, in its state as of $now.
-- A final state is never undone: among delivered and failed the first seen stands, both beat invalid_id, all three
-- beat the rest. Of non-final answers the latest counts; silence beyond $unknown_after_seconds makes it unknown.
-- `answers` has one row an answer, as the state that its message has by this answer alone.
-- Parameters: now, unknown_after_seconds.
WITH answers AS NOT MATERIALIZED (
  SELECT
    app_id,
    msg_id,
    CASE WHEN status IN ('delivered', 'failed') THEN 0 WHEN status = 'invalid_id' THEN 1 ELSE 2 END AS class,
    status,
    receive_time,
    number,
    country,
    1 AS poll_count,
    observed_at AS first_polled_at,
    observed_at AS last_polled_at,
    call_id
  FROM delivery_reports
),
states AS (
  /* states */
),
judged AS (
  SELECT
    sent.app_id,
    sent.msg_id,
    coalesce(sent.number, states.number) AS number,
    coalesce(sent.country, states.country) AS country,
    sent.sender_id,
    sent.order_id,
    sent.sent_at,
    sent.sent_date,
    CASE
      WHEN states.class IS NULL THEN 'pending'
      WHEN states.class < 2 THEN states.status
      WHEN epoch_us($now::TIMESTAMPTZ) - epoch_us(sent.sent_at) > $unknown_after_seconds * 1e6 THEN 'unknown'
      ELSE states.status
    END AS delivery_status,
    coalesce(states.class < 2, false) AS is_final,
    states.receive_time AS decided_time,
    coalesce(states.poll_count, 0) AS poll_count,
    states.first_polled_at,
    states.last_polled_at
  FROM sent_messages AS sent
  LEFT JOIN states USING (app_id, msg_id)
)
SELECT
  * EXCLUDE (decided_time),
  CASE WHEN delivery_status <> 'unknown' THEN decided_time END AS receive_time,
  (epoch_us(CASE WHEN delivery_status <> 'unknown' THEN decided_time END) - epoch_us(sent_at)) / 1e6 AS latency_seconds
FROM judged;
