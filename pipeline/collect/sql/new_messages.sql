-- Grain: one row per message with a doubtful key that is not in the lake: of several records the earliest by sent_at.
-- Those with one record are not compared: an aggregate over whole records costs ten times as much as one over keys.
-- Records of one line stand in their order in the file that they are read from.
CREATE OR REPLACE TEMP TABLE new_messages AS
WITH several AS (
  SELECT app_id, msg_id
  FROM doubtful
  GROUP BY app_id, msg_id
  HAVING count(*) > 1
),
first_records AS (
  SELECT doubtful.*
  FROM doubtful
  ANTI JOIN several USING (app_id, msg_id)
  UNION ALL
  SELECT unnest(arg_min(doubtful, {'sent_at': sent_at, 'file': file, 'line': line, 'place': place}))
  FROM doubtful
  SEMI JOIN several USING (app_id, msg_id)
  GROUP BY doubtful.app_id, doubtful.msg_id
)
SELECT first_records.*
FROM first_records
ANTI JOIN sent_messages USING (app_id, msg_id);
