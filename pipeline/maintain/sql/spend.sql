-- Grain: one row per app, day of sending and currency of messages of which pay is known.
SELECT
  app_id,
  sent_date,
  currency,
  sum(pay) AS pay
FROM messages
WHERE pay IS NOT NULL
GROUP BY ALL;
