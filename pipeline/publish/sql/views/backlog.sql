-- Grain: one row per age class and state of messages that are not final. Age = published_at - sent_at.
WITH aged AS (
  SELECT
    messages.*,
    (epoch_us(snapshot.published_at) - epoch_us(messages.sent_at)) // 1000000 AS age_seconds
  FROM messages, (SELECT any_value(published_at) AS published_at FROM snapshot_info) AS snapshot
  WHERE NOT messages.is_final
)
SELECT
  CASE
    WHEN age_seconds < 3600 THEN 'under 1 hour'
    WHEN age_seconds < 86400 THEN '1 to 24 hours'
    WHEN age_seconds < 3 * 86400 THEN '1 to 3 days'
    WHEN age_seconds < 7 * 86400 THEN '3 to 7 days'
    ELSE 'over 7 days'
  END AS age,
  delivery_status,
  count(*) AS messages,
  min(sent_at) AS oldest_sent_at,
  max(last_polled_at) AS last_polled_at
FROM aged
GROUP BY ALL
ORDER BY oldest_sent_at DESC, delivery_status;
