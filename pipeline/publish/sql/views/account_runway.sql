-- Grain: one row per account, from the latest time that its balance was asked for.
-- available = balance + gift + credit; days_left = available / spend_per_day, never below 0.
WITH latest AS (
  SELECT
    account,
    list(app_id ORDER BY app_id) FILTER (WHERE app_id IS NOT NULL) AS apps,
    any_value(balance) AS balance,
    any_value(gift) AS gift,
    any_value(credit) AS credit,
    any_value(spend_per_day) AS spend_per_day,
    any_value(currency) AS currency,
    observed_at
  FROM account_balance
  GROUP BY account, observed_at
  QUALIFY row_number() OVER (PARTITION BY account ORDER BY observed_at DESC) = 1
)
SELECT
  account,
  array_to_string(apps, ', ') AS apps,
  balance + coalesce(gift, 0) + coalesce(credit, 0) AS available,
  balance,
  gift,
  credit,
  spend_per_day,
  currency,
  CASE
    WHEN spend_per_day > 0
      THEN greatest(0.0, (balance + coalesce(gift, 0) + coalesce(credit, 0))::DOUBLE / spend_per_day::DOUBLE)
  END AS days_left,
  observed_at
FROM latest
ORDER BY days_left NULLS LAST, account;
