-- Grain: one row a message that was answered, in the state that its answers give.
-- Most messages have one answer. Only of the others the answers are ranked: a row as state of an aggregate costs ten
-- times as much as its key. Two messages that share a hash are ranked, too, which changes nothing.
-- `ranked` is read twice rather than kept: kept it is 140 MB for a million answers.
WITH ranked AS NOT MATERIALIZED (
  SELECT *, hash(app_id, msg_id) AS key
  FROM answers
),
several AS (
  SELECT hash(app_id, msg_id) AS key
  FROM delivery_reports
  GROUP BY key
  HAVING count(*) > 1
)
SELECT * EXCLUDE (key, call_id)
FROM ranked
ANTI JOIN several USING (key)
UNION ALL BY NAME
SELECT
  app_id,
  msg_id,
  min(class) AS class,
  unnest(arg_min(
    {'status': status, 'receive_time': receive_time},
    -- Within the best class: the first answer if it is final, else the latest.
    {'class': class, 'age': CASE WHEN class < 2 THEN 1 ELSE -1 END * epoch_us(first_polled_at), 'call': call_id}
  )),
  arg_max(number, last_polled_at) FILTER (WHERE number IS NOT NULL) AS number,
  arg_max(country, last_polled_at) FILTER (WHERE country IS NOT NULL) AS country,
  count(*) AS poll_count,
  min(first_polled_at) AS first_polled_at,
  max(last_polled_at) AS last_polled_at
FROM ranked
SEMI JOIN several USING (key)
GROUP BY app_id, msg_id;
