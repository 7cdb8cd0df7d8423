-- Grain: one row a country over the span of $days that ends with the latest day (null: all days), most messages first.
SELECT
  country AS label,
  sent,
  delivered,
  failed,
  outstanding,
  unknown,
  invalid_id,
  delivery_rate,
  delivery_rate_final,
  is_mature
FROM delivery_by_country
WHERE days IS NOT DISTINCT FROM $days::INTEGER
ORDER BY sent DESC, country;
