-- Sets the day of the reports in `pushes` whose message `sent_messages` has.
UPDATE pushes
SET sent_date = found.sent_date
FROM (
  SELECT
    app_id,
    msg_id,
    min(sent_date) AS sent_date
  FROM sent_messages
  SEMI JOIN pushes USING (app_id, msg_id)
  GROUP BY app_id, msg_id
) AS found
WHERE pushes.sent_date IS NULL AND pushes.app_id = found.app_id AND pushes.msg_id = found.msg_id;
