-- Grain: one row per record that was read now and may be new, repeated or a correction.
-- What was erased of a message stays erased, whatever its log says. A log that could not be read to its end corrects no
-- app, since its rest may hold the message as it was: such records wait.
CREATE OR REPLACE TABLE unsettled AS
WITH erased AS (
  SELECT
    msg_id,
    any_value(sender_id) AS sender_id,
    any_value(order_id) AS order_id,
    any_value(labels) AS labels
  FROM sent_messages
  SEMI JOIN forgotten_ids USING (msg_id)
  GROUP BY msg_id
),
given AS (
  SELECT app_id, msg_id, file
  FROM sent_messages
  WHERE file IN (SELECT DISTINCT file FROM messages_read ANTI JOIN files_read USING (file))
)
SELECT
  messages_read.* REPLACE (
    CASE WHEN erased.msg_id IS NULL THEN messages_read.number END AS number,
    CASE WHEN erased.msg_id IS NULL THEN messages_read.sender_id ELSE erased.sender_id END AS sender_id,
    CASE WHEN erased.msg_id IS NULL THEN messages_read.order_id ELSE erased.order_id END AS order_id,
    CASE WHEN erased.msg_id IS NULL THEN messages_read.labels ELSE erased.labels END AS labels
  ),
  hash(messages_read.app_id, messages_read.msg_id) AS key
FROM messages_read
LEFT JOIN erased USING (msg_id)
WHERE
  hash(messages_read.app_id, messages_read.msg_id) IN (FROM doubtful_keys)
  AND hash(messages_read.app_id, messages_read.msg_id) NOT IN (FROM settled_keys)
  AND NOT (
    hash(messages_read.file, messages_read.msg_id) IN (SELECT hash(file, msg_id) FROM given)
    AND hash(messages_read.file, messages_read.msg_id, messages_read.app_id) NOT IN (
      SELECT hash(file, msg_id, app_id) FROM given
    )
  );
