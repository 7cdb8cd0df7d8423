-- Grain: one row per message with an unsettled record: the record that counts, read now (is_read) or stored.
-- What a log says now replaces what it said before. A stored record still counts if its log was not read now; if that
-- log has gone or no longer says it, any other log that does takes over. Of several the earliest by sent_at counts.
-- Messages with one record are not compared: an aggregate over whole records costs ten times as much as one over keys.
-- Records of one line stand in their order in the file that they are read from.
CREATE OR REPLACE TABLE winners AS
WITH standing AS (
  SELECT *
  FROM touched
  SEMI JOIN unsettled USING (app_id, msg_id)
  ANTI JOIN unsettled AS said_now USING (file, app_id, msg_id)
  WHERE file NOT IN (FROM files_read) AND file NOT IN (FROM files_gone)
),
records AS (
  SELECT
    *,
    true AS is_read
  FROM unsettled
  UNION ALL BY NAME
  SELECT
    *,
    0 AS place,
    false AS is_read
  FROM standing
),
several AS (
  SELECT app_id, msg_id
  FROM records
  GROUP BY app_id, msg_id
  HAVING count(*) > 1
),
sources AS (
  SELECT app_id, msg_id, any_value(file) AS stored_file
  FROM touched
  GROUP BY app_id, msg_id
)
SELECT records.*
FROM records
ANTI JOIN several USING (app_id, msg_id)
UNION ALL
SELECT
  unnest(arg_min(
    records,
    {
      'sent_at': records.sent_at,
      'is_other': records.file IS DISTINCT FROM sources.stored_file,
      'file': records.file,
      'line': records.line,
      'place': records.place
    }
  ))
FROM records
SEMI JOIN several USING (app_id, msg_id)
LEFT JOIN sources ON records.app_id = sources.app_id AND records.msg_id = sources.msg_id
GROUP BY records.app_id, records.msg_id;
