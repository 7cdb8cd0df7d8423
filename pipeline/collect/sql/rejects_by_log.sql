-- Grain: one row per log and code of rejection in `told_rejects`, most records first.
SELECT
  file,
  split_part(reason, ':', 1) AS code,
  count(*) AS records
FROM told_rejects
GROUP BY file, code
ORDER BY file, records DESC, code;
