-- Bad rows: a message that is not exactly once in sent_messages and once in messages.
-- They are looked for only if the tables differ: in rows or in the sum of hashes of their keys, or messages has a hash
-- twice. That is known at half the cost of counting each hash in both tables. Rows are counted by a hash of the key, and
-- only ids of a hash that is not once in each are compared: none, unless a message is bad or two share a hash.
WITH differing AS (
  SELECT 1
  WHERE
    (SELECT (count(*), sum(hash(app_id, msg_id)::HUGEINT)) FROM sent_messages) IS DISTINCT FROM
    (SELECT (count(DISTINCT hash(app_id, msg_id)), sum(hash(app_id, msg_id)::HUGEINT)) FROM messages)
),
suspects AS (
  SELECT key
  FROM (
    SELECT hash(app_id, msg_id) AS key, 1 AS in_sent, 0 AS in_derived FROM sent_messages, differing
    UNION ALL
    SELECT hash(app_id, msg_id), 0, 1 FROM messages, differing
  )
  GROUP BY key
  HAVING sum(in_sent) <> 1 OR sum(in_derived) <> 1
),
compared AS (
  SELECT sent_date, app_id, msg_id, 1 AS in_sent, 0 AS in_derived
  FROM sent_messages
  WHERE hash(app_id, msg_id) IN (FROM suspects)
  UNION ALL
  SELECT sent_date, app_id, msg_id, 0, 1
  FROM messages
  WHERE hash(app_id, msg_id) IN (FROM suspects)
)
SELECT
  sent_date::VARCHAR AS sent_date,
  app_id,
  msg_id,
  sum(in_sent)::BIGINT AS times_in_sent_messages,
  sum(in_derived)::BIGINT AS times_in_messages
FROM compared
GROUP BY ALL
HAVING times_in_sent_messages <> 1 OR times_in_messages <> 1
ORDER BY ALL;
