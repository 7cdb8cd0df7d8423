-- Whole hours of the latest 28 days, each with the local hour of the day in which it lies.
zone AS (
  SELECT any_value(time_zone) AS name
  FROM snapshot_info
),
hours AS (
  SELECT
    rollups.*,
    rollups.sent_hour AT TIME ZONE zone.name AS local_start,
    (rollups.sent_hour + INTERVAL '59 minutes 59 seconds') AT TIME ZONE zone.name AS local_end
  FROM delivery_rollups_hourly AS rollups, zone
  WHERE rollups.dimension = 'all'
),
latest AS (
  SELECT max(sent_date) AS day
  FROM delivery_rollups_hourly
),
local_hours AS (
  SELECT
    hours.*,
    -- Where clocks moved by half an hour, the hour as if they had not begins in another one.
    hour(
      CASE WHEN minute(local_start) = 0 AND local_start::DATE = hours.sent_date THEN local_start ELSE local_end END
    )::INTEGER AS hour_of_day
  FROM hours, latest
  WHERE hours.sent_date > latest.day - 28
)
