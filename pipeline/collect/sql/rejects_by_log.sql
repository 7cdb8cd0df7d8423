-- Grain: one row per log and code of rejection in `told_rejects`, most records first; a reject may stand for many rows.
SELECT
  file,
  split_part(reason, ':', 1) AS code,
  sum(coalesce(try_cast(regexp_extract(reason, ' \((\d+) rows\)$', 1) AS BIGINT), 1))::BIGINT AS records
FROM told_rejects
GROUP BY file, code
ORDER BY file, records DESC, code;
