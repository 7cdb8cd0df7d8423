-- Grain: one row per stored message that the unsettled records are about: the same message, or the same id in the same
-- log under another app.
CREATE OR REPLACE TABLE touched AS
SELECT
  *,
  hash(app_id, msg_id) AS key
FROM sent_messages
WHERE
  hash(app_id, msg_id) IN (SELECT key FROM unsettled)
  OR (
    hash(app_id, msg_id) NOT IN (FROM settled_keys)
    AND hash(file, msg_id) IN (SELECT hash(file, msg_id) FROM unsettled SEMI JOIN files_read USING (file))
  );
