-- Grain: one row per app, country and sender of one day of sending (the partition in messages).
-- Parameters: now, today, unknown_after_seconds.
SELECT
  app_id,
  country,
  sender_id,
  /* rate_measures */
FROM messages
GROUP BY app_id, country, sender_id;
