-- Grain: one row per stored message that is replaced; new_app_id and new_date say where it is now. is_corrected: more
-- than its place in the logs differs.
-- A log that was read to its end corrects the app of an id that it gives only under an app that is new to it. One that
-- gives the id no more, or still gives another message with that id, removes nothing.
CREATE OR REPLACE TABLE removed AS
WITH said AS (
  SELECT DISTINCT file, app_id, msg_id, line
  FROM unsettled
  SEMI JOIN files_read USING (file)
),
unsaid AS (
  SELECT *
  FROM touched
  ANTI JOIN unsettled USING (file, app_id, msg_id)
  ANTI JOIN winners USING (app_id, msg_id)
),
other_app AS (
  SELECT
    unsaid.app_id,
    unsaid.msg_id,
    unsaid.sent_date,
    arg_min(said.app_id, said.line) AS new_app_id
  FROM unsaid
  JOIN said ON said.file = unsaid.file AND said.msg_id = unsaid.msg_id AND said.app_id <> unsaid.app_id
  ANTI JOIN touched AS former
    ON former.file = said.file AND former.app_id = said.app_id AND former.msg_id = said.msg_id
  GROUP BY unsaid.app_id, unsaid.msg_id, unsaid.sent_date
)
SELECT
  touched.app_id,
  touched.msg_id,
  touched.sent_date,
  new_messages.app_id AS new_app_id,
  new_messages.sent_date AS new_date,
  (touched.number, touched.sender_id, touched.order_id, touched.sent_at, touched.labels) IS DISTINCT FROM
  (new_messages.number, new_messages.sender_id, new_messages.order_id, new_messages.sent_at, new_messages.labels) AS is_corrected
FROM touched
JOIN new_messages USING (app_id, msg_id)
UNION ALL
SELECT
  other_app.app_id,
  other_app.msg_id,
  other_app.sent_date,
  other_app.new_app_id,
  winners.sent_date,
  true
FROM other_app
JOIN winners ON winners.app_id = other_app.new_app_id AND winners.msg_id = other_app.msg_id;
