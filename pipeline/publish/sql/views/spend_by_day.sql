-- Grain: one row per day of sending and currency of messages of which pay is known.
SELECT
  sent_date,
  currency,
  /* spent */
FROM messages
WHERE pay IS NOT NULL
GROUP BY sent_date, currency
ORDER BY sent_date, currency;
