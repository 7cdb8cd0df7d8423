-- Grain: one row per code of rejection in `told_rejects`, most records first: how many, in how many logs, the first place,
-- by date and name of the log, and how many rejects do not say how many rows they stand for.
SELECT
  split_part(reason, ':', 1) AS code,
  sum(coalesce(rows, 1))::BIGINT AS records,
  count(DISTINCT file) AS files,
  unnest(arg_min({'file': file, 'line': line}, {'date': coalesce(sent_date, DATE '0001-01-01'), 'file': file, 'line': line})),
  count(*) FILTER (WHERE rows IS NULL) AS unweighed
FROM (SELECT *, try_cast(regexp_extract(reason, ' \((\d+) rows\)$', 1) AS BIGINT) AS rows FROM told_rejects)
GROUP BY code
ORDER BY records DESC, code;
