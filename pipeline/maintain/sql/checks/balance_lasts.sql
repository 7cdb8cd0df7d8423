-- Bad rows: an account whose balance, asked for since $since, lasts for fewer than $bound_days days.
-- Parameters: bound_days, since.
SELECT
  account,
  apps,
  available,
  spend_per_day,
  currency,
  days_left
FROM account_runway
WHERE days_left < $bound_days AND observed_at >= $since::TIMESTAMPTZ
ORDER BY days_left;
