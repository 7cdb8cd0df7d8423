-- Grain: one row per reason for which records of sent logs are rejected, most records first.
SELECT
  split_part(reason, ':', 1) AS code,
  count(*) AS records
FROM rejected_records
WHERE source = 'sent_log'
GROUP BY code
ORDER BY records DESC, code;
