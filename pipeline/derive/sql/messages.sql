-- Grain: one row per sent message of one partition, in its state as of $now.
-- A final state is never undone: among delivered and failed the first seen stands, both beat invalid_id, and all three
-- beat the rest. Of non-final answers the latest counts; silence beyond $unknown_after_seconds makes it unknown.
-- Most messages have one answer. Only answers of the others are ranked: a row as the state of an aggregate costs ten
-- times as much as its key. Two messages that share a hash are ranked too, with the same result.
-- `answers` is read twice: keeping it costs 140 MB for a million answers.
-- An answer later than $latest was stored by a clock that was ahead: nobody knows when it came. Of answers that are not
-- final, and for last_polled_at, it counts only where there is no other.
-- Parameters: now, unknown_after_seconds, latest.
WITH answers AS NOT MATERIALIZED (
  SELECT
    app_id,
    msg_id,
    CASE WHEN status = 'invalid_id' THEN 1 WHEN status IN (/* final_statuses */) THEN 0 ELSE 2 END AS class,
    status,
    receive_time,
    number,
    country,
    1 AS poll_count,
    observed_at AS first_polled_at,
    observed_at AS last_polled_at,
    observed_at > $latest::TIMESTAMPTZ AS is_ahead,
    call_id,
    hash(app_id, msg_id) AS key
  FROM delivery_reports
),
several AS (
  SELECT hash(app_id, msg_id) AS key
  FROM delivery_reports
  GROUP BY key
  HAVING count(*) > 1
),
states AS (
  SELECT * EXCLUDE (key, call_id, is_ahead)
  FROM answers
  ANTI JOIN several USING (key)
  UNION ALL BY NAME
  SELECT
    app_id,
    msg_id,
    min(class) AS class,
    unnest(arg_min(
      {'status': status, 'receive_time': receive_time},
      -- Within the best class: the first answer if it is final, else the latest.
      {'class': class, 'is_ahead': class = 2 AND is_ahead, 'age': CASE WHEN class < 2 THEN 1 ELSE -1 END * epoch_us(first_polled_at), 'call': call_id}
    )),
    arg_max(number, last_polled_at) FILTER (WHERE number IS NOT NULL) AS number,
    arg_max(country, last_polled_at) FILTER (WHERE country IS NOT NULL) AS country,
    count(*) AS poll_count,
    min(first_polled_at) AS first_polled_at,
    coalesce(max(last_polled_at) FILTER (WHERE NOT is_ahead), max(last_polled_at)) AS last_polled_at
  FROM answers
  SEMI JOIN several USING (key)
  GROUP BY app_id, msg_id
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
    CASE WHEN delivery_status <> 'unknown' THEN states.receive_time END AS receive_time,
    coalesce(states.poll_count, 0) AS poll_count,
    states.first_polled_at,
    states.last_polled_at,
    sent.labels
  FROM sent_messages AS sent
  LEFT JOIN states USING (app_id, msg_id)
)
SELECT
  *,
  (epoch_us(receive_time) - epoch_us(sent_at)) / 1e6 AS latency_seconds
FROM judged;
