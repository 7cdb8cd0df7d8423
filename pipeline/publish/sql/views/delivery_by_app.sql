-- Grain: one row per app and span of days, which ends with the latest day of sending.
WITH
/* counted_by_span */
SELECT
  days,
  value AS app_id,
  /* shown_measures */
FROM counted
WHERE dimension = 'app_id'
ORDER BY days, sent DESC, value;
