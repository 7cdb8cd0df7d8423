-- Grain: one row per day and local hour of sending of some days, over delivered messages whose time of receipt is
-- known: how many there were, and how many of them took longer than five minutes.
SELECT
  messages.sent_date,
  hour(messages.sent_at AT TIME ZONE zone.name)::INTEGER AS hour,
  count(*) AS timed,
  count(*) FILTER (WHERE messages.latency_seconds > 300) AS slow
FROM messages, (SELECT any_value(time_zone) AS name FROM snapshot_info) AS zone
WHERE
  messages.delivery_status = 'delivered'
  AND messages.latency_seconds IS NOT NULL
  AND list_contains($days::DATE[], messages.sent_date)
GROUP BY ALL
ORDER BY ALL;
