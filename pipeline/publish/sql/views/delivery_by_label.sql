-- Grain: one row per label of SMS_SENT_LOG_LABELS, its value and span of days, which ends with the latest day of
-- sending.
WITH
/* counted_by_span */
SELECT
  days,
  substr(dimension, 1 + length('label:')) AS label,
  value,
  /* shown_measures */
FROM counted
WHERE starts_with(dimension, 'label:')
ORDER BY days, label, sent DESC, value;
