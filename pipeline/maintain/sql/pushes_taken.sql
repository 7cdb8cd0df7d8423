-- Grain: one row: the latest report that was pushed, and of those of the last days, without the last hour, how many there
-- are and how many of them are of a message that no log has; a report that is ahead of now counts nowhere.
-- Parameters: now, days.
SELECT
  max(received_at) AS latest,
  count(*) FILTER (WHERE received_at <= $now::TIMESTAMPTZ - INTERVAL 1 HOUR) AS reports,
  count(*) FILTER (WHERE received_at <= $now::TIMESTAMPTZ - INTERVAL 1 HOUR AND sent_date IS NULL) AS unlogged
FROM pushed_reports
WHERE
  received_at > $now::TIMESTAMPTZ - to_days($days::INTEGER)
  AND received_at <= $now::TIMESTAMPTZ;
