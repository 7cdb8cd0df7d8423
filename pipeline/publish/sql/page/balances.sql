-- Grain: one row per account whose balance was asked for, the one that lasts shortest first.
SELECT
  apps,
  available::DOUBLE AS available,
  coalesce(currency, '') AS currency,
  days_left,
  strftime(observed_at, '%Y-%m-%d %H:%M UTC') AS observed_at
FROM account_runway
WHERE available IS NOT NULL
ORDER BY days_left NULLS LAST, account;
