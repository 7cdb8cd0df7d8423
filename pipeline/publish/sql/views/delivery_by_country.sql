-- Grain: one row per country and span of days, which ends with the latest day of sending.
WITH
/* counted_by_span */
SELECT
  days,
  value AS country,
  /* shown_measures */
FROM counted
WHERE dimension = 'country'
ORDER BY days, sent DESC, value;
