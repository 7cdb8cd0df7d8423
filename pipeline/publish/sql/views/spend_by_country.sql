-- Grain: one row per span of days, country and currency of messages of which pay is known.
WITH
/* span_days */
SELECT
  span_days.days,
  country,
  currency,
  /* spent */
FROM messages
INNER JOIN span_days USING (sent_date)
WHERE pay IS NOT NULL
GROUP BY span_days.days, country, currency
ORDER BY span_days.days, pay DESC, country, currency;
