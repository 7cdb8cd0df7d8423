-- Grain: one row per code of rejection in `told_rejects`, most records first: how many, in how many logs, and the first
-- place, by date and name of the log.
SELECT
  split_part(reason, ':', 1) AS code,
  count(*) AS records,
  count(DISTINCT file) AS files,
  unnest(arg_min({'file': file, 'line': line}, {'date': coalesce(sent_date, DATE '0001-01-01'), 'file': file, 'line': line}))
FROM told_rejects
GROUP BY code
ORDER BY records DESC, code;
