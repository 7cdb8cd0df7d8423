-- Grain: one row a country over all days, most messages first; a percentile of several days can't be had from theirs.
SELECT
  country AS label,
  sent,
  delivered,
  failed,
  outstanding,
  unknown,
  delivery_rate,
  delivery_rate_final,
  NULL AS latency_p95_seconds,
  is_mature
FROM delivery_by_country
WHERE days IS NULL
ORDER BY sent DESC, country;
