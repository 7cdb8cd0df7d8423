-- Grain: one row per state that is not final: how many messages, and when the oldest was sent.
SELECT
  delivery_status,
  count(*) AS messages,
  min(sent_at) AS oldest_sent_at
FROM messages
WHERE NOT is_final
GROUP BY delivery_status
ORDER BY oldest_sent_at;
