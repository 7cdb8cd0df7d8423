-- Grain: one row per country over the latest $days (null: all days), most messages first.
SELECT
  coalesce(country, 'not known') AS label,
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
