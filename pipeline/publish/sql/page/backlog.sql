-- Grain: one row per age class and state of messages that are not final, youngest first.
SELECT
  age,
  delivery_status AS status,
  messages,
  strftime(oldest_sent_at AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M UTC') AS oldest_sent_at
FROM backlog
ORDER BY
  list_position(['under 1 hour', '1 to 24 hours', '1 to 3 days', '3 to 7 days', 'over 7 days'], age),
  list_position(['sending', 'not_found', 'pending', 'unknown'], delivery_status);
