-- Grain: one row a message that was read now and is not in the lake: of several records the earliest by sent_at.
-- Most messages have one record. Only the others are compared: a whole record as state of an aggregate costs ten times
-- as much as its key.
CREATE OR REPLACE TEMP TABLE new_messages AS
WITH several AS (
  SELECT app_id, msg_id
  FROM staged
  GROUP BY app_id, msg_id
  HAVING count(*) > 1
),
first_records AS (
  SELECT staged.*
  FROM staged
  ANTI JOIN several USING (app_id, msg_id)
  UNION ALL
  SELECT unnest(arg_min(staged, {'sent_at': sent_at, 'file': file, 'line': line, 'item': item}))
  FROM staged
  SEMI JOIN several USING (app_id, msg_id)
  GROUP BY staged.app_id, staged.msg_id
)
SELECT first_records.*
FROM first_records
ANTI JOIN sent_messages USING (app_id, msg_id);
