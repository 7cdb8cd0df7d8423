-- Grain: one row an hour of sending, app, country and sender of one day. Hours: see sent_hour.sql.
-- Parameters: now, unknown_after_seconds, zone.
SELECT
  /* sent_hour */ AS sent_hour,
  app_id,
  country,
  sender_id,
  /* rate_measures */
FROM messages
GROUP BY ALL;
