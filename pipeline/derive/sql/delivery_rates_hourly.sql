-- Grain: one row per hour of sending, app, country and sender of the days in messages. Hours: see messages_by_hour.sql.
-- Parameters: now, unknown_after_seconds, zone.
WITH by_hour AS (
  /* messages_by_hour */
)
SELECT
  sent_date,
  sent_hour,
  app_id,
  country,
  sender_id,
  /* rate_measures */
FROM by_hour
GROUP BY sent_date, sent_hour, app_id, country, sender_id;
