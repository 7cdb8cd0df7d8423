-- Bad rows: a message that is in sent_messages or in messages another number of times than once.
WITH sent AS (
  SELECT
    sent_date,
    app_id,
    msg_id,
    count(*) AS times
  FROM sent_messages
  GROUP BY ALL
),
derived AS (
  SELECT
    sent_date,
    app_id,
    msg_id,
    count(*) AS times
  FROM messages
  GROUP BY ALL
)
SELECT
  coalesce(sent.sent_date, derived.sent_date)::VARCHAR AS sent_date,
  coalesce(sent.app_id, derived.app_id) AS app_id,
  coalesce(sent.msg_id, derived.msg_id) AS msg_id,
  coalesce(sent.times, 0) AS times_in_sent_messages,
  coalesce(derived.times, 0) AS times_in_messages
FROM sent
FULL JOIN derived
  ON sent.sent_date = derived.sent_date AND sent.app_id = derived.app_id AND sent.msg_id = derived.msg_id
WHERE sent.times IS DISTINCT FROM 1 OR derived.times IS DISTINCT FROM 1
ORDER BY ALL;
