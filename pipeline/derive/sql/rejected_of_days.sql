-- Grain: one row per day of sent logs with rejects: their number, each counted once however often it was read.
SELECT
  sent_date,
  count(DISTINCT (file, line, item)) AS rejected
FROM rejected_records
WHERE source = 'sent_log' AND sent_date IS NOT NULL
GROUP BY sent_date;
