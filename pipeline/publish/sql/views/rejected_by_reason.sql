-- Grain: one row per source and code of rejects. code = reason up to its colon.
SELECT
  source,
  split_part(reason, ':', 1) AS code,
  count(*) AS records,
  count(DISTINCT file) AS files,
  min(sent_date) AS first_date,
  max(sent_date) AS last_date,
  max(rejected_at) AS last_rejected_at
FROM rejected_records
GROUP BY source, code
ORDER BY records DESC, source, code;
