-- Grain: one row per report, where it lies after the moves.
SELECT *
FROM pushed_reports
WHERE (app_id, msg_id, coalesce(sent_date, DATE '0001-01-01')) NOT IN (
  SELECT (app_id, msg_id, coalesce(old_date, DATE '0001-01-01'))
  FROM moved
)
UNION ALL BY NAME
SELECT * EXCLUDE (old_date)
FROM moved
