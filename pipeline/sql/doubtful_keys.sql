-- Grain: one row a key that was read more than once, or that a message of the lake may have.
CREATE OR REPLACE TEMP TABLE doubtful_keys AS
SELECT key
FROM staged_keys
GROUP BY key
HAVING count(*) > 1
UNION
SELECT key
FROM staged_keys
SEMI JOIN (SELECT hash(app_id, msg_id) AS key FROM sent_messages) USING (key);
