-- Grain: one row per log with a record that was in the future when the log was read.
SELECT DISTINCT file
FROM rejected_records
WHERE source = 'sent_log' AND starts_with(reason, 'in_future:');
