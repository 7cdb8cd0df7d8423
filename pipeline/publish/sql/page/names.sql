-- Grain: one row per name that has a place of its own, and one per dimension for all others: value is their number.
SELECT
  dimension,
  place,
  CASE WHEN count(*) = 1 THEN any_value(value) ELSE count(*)::VARCHAR END AS value,
  count(*) > 1 AS is_others
FROM page_names
GROUP BY dimension, place
ORDER BY dimension, place;
