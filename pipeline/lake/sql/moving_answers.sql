-- Grain: one row per answer that follows its message: the message is committed under its new app and day, and no longer
-- under the old ones. not_found and invalid_id stay with the app that they were said of: another app may know the id.
CREATE OR REPLACE TABLE moving_answers AS
WITH committed AS (
  SELECT noted_moves.*
  FROM noted_moves
  SEMI JOIN sent_messages AS here
    ON here.app_id = noted_moves.new_app_id
    AND here.msg_id = noted_moves.msg_id
    AND here.sent_date = noted_moves.new_date
  ANTI JOIN sent_messages AS former
    ON former.app_id = noted_moves.app_id
    AND former.msg_id = noted_moves.msg_id
    AND former.sent_date = noted_moves.sent_date
)
SELECT
  answers.*,
  committed.new_app_id,
  committed.new_date
FROM delivery_reports AS answers
JOIN committed USING (app_id, msg_id, sent_date)
WHERE committed.app_id = committed.new_app_id OR answers.status NOT IN ('not_found', 'invalid_id');
