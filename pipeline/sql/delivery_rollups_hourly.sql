-- Grain: one row a hour of sending as a whole, and one for each app, country and sender in it.
-- Percentiles don't add up, so these can't be had from the rates.
-- Parameters: now, unknown_after_seconds, zone.
WITH keyed AS (
  SELECT
    *,
    /* sent_hour */ AS sent_hour
  FROM messages
)
SELECT
  sent_hour,
  CASE
    WHEN grouping(app_id) = 0 THEN 'app_id'
    WHEN grouping(country) = 0 THEN 'country'
    WHEN grouping(sender_id) = 0 THEN 'sender_id'
    ELSE 'all'
  END AS dimension,
  CASE
    WHEN grouping(app_id) = 0 THEN app_id
    WHEN grouping(country) = 0 THEN country
    WHEN grouping(sender_id) = 0 THEN sender_id
  END AS value,
  /* rate_measures */
FROM keyed
GROUP BY GROUPING SETS ((sent_hour), (sent_hour, app_id), (sent_hour, country), (sent_hour, sender_id));
