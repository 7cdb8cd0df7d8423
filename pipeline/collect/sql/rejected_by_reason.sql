-- Grain: one row per code of rejection in the logs read now.
SELECT
  split_part(reason, ':', 1) AS code,
  count(*) AS records
FROM staged_rejects
GROUP BY code
ORDER BY code;
