-- Grain: one row per message that was read now and has a doubtful key.
CREATE OR REPLACE TABLE doubtful AS
SELECT *
FROM messages_read
WHERE hash(app_id, msg_id) IN (SELECT key FROM doubtful_keys);
