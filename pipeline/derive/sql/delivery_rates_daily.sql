-- Grain: one row per day of sending, app, country and sender of the days in messages.
-- Parameters: now, today, unknown_after_seconds.
SELECT
  sent_date,
  app_id,
  country,
  sender_id,
  /* rate_measures */
FROM messages
GROUP BY sent_date, app_id, country, sender_id;
