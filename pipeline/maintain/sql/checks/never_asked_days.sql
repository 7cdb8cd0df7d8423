-- Grain: one row per day with a message that was never asked for.
SELECT DISTINCT
  sent_date
FROM messages
WHERE last_polled_at IS NULL AND NOT is_final
ORDER BY sent_date;
