-- Bad rows: an app and day of whose record a larger share than $bound is in no sent log.
-- Parameter: bound.
SELECT
  sent_date,
  app_id,
  recorded,
  logged,
  unlogged,
  unrecorded,
  unlogged_share
FROM record_by_day
WHERE unlogged_share > $bound
ORDER BY unlogged_share DESC;
