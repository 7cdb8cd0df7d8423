-- Grain: one row per key that was read more than once, or that a message of the lake may have.
-- A key stands for app_id and msg_id: two messages seldom share one.
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
SEMI JOIN (SELECT hash(app_id, msg_id) AS key FROM sent_messages) USING (key);
