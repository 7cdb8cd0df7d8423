-- Grain: one row per log with a record of a message that counts from another log.
SELECT DISTINCT unsettled.file
FROM unsettled
JOIN winners USING (app_id, msg_id)
WHERE unsettled.file <> winners.file
UNION
SELECT DISTINCT touched.file
FROM touched
JOIN winners USING (app_id, msg_id)
WHERE
  touched.file <> winners.file
  AND touched.file NOT IN (FROM files_read)
  AND touched.file NOT IN (FROM files_gone);
