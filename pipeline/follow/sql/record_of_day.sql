-- Grain: one row per message of `read_rows`, the pages of one app and day; the first row of a message counts.
-- A message that platform_record has of a day beside is left out: windows that follow one another share an end.
SELECT DISTINCT ON (msg_id)
  *
FROM read_rows
ANTI JOIN platform_record USING (app_id, msg_id)
ORDER BY msg_id, place;
