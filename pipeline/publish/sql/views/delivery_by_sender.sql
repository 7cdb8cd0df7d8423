-- Grain: one row per sender and span of days, which ends with the latest day of sending.
WITH
/* counted_by_span */
SELECT
  days,
  value AS sender_id,
  /* shown_measures */
FROM counted
WHERE dimension = 'sender_id'
ORDER BY days, sent DESC, value;
