-- Grain: one row per key that was read more than once, that a message of the lake may have, or whose log gave the id
-- before under another app. A key stands for app_id and msg_id: two messages seldom share one.
CREATE OR REPLACE TEMP TABLE doubtful_keys AS
WITH read_keys AS MATERIALIZED (
  SELECT hash(app_id, msg_id) AS key
  FROM messages_read
)
SELECT key
FROM read_keys
GROUP BY key
HAVING count(*) > 1
UNION
SELECT key
FROM read_keys
SEMI JOIN (SELECT hash(app_id, msg_id) AS key FROM sent_messages) USING (key)
UNION
SELECT hash(app_id, msg_id)
FROM messages_read
WHERE hash(file, msg_id) IN (
  SELECT hash(file, msg_id)
  FROM sent_messages
  WHERE file IN (SELECT DISTINCT file FROM messages_read)
);
