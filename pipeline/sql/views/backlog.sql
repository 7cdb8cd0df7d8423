-- Grain: one row a class of age and state of messages that are not final.
WITH aged AS (
  SELECT
    messages.*,
    (epoch(snapshot.published_at) - epoch(messages.sent_at)) / 3600 AS age_hours
  FROM messages, (SELECT any_value(published_at) AS published_at FROM snapshot_info) AS snapshot
  WHERE NOT messages.is_final
)
SELECT
  CASE
    WHEN age_hours < 1 THEN 'under 1 hour'
    WHEN age_hours < 24 THEN '1 to 24 hours'
    WHEN age_hours < 72 THEN '1 to 3 days'
    WHEN age_hours < 168 THEN '3 to 7 days'
    ELSE 'over 7 days'
  END AS age,
  delivery_status,
  count(*) AS messages,
  min(sent_at) AS oldest_sent_at,
  max(last_polled_at) AS last_polled_at
FROM aged
GROUP BY ALL
ORDER BY oldest_sent_at DESC;
