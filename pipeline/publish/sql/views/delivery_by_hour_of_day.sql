-- Grain: one row per local hour of the day, over the latest 28 days.
-- delivery_rate = delivered / sent; delivery_rate_final = delivered / (delivered + failed); dlr_coverage = (delivered +
-- failed) / sent; of summed counts, null where the denominator is 0 or no message was ever asked for.
WITH zone AS (
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
)
SELECT
  -- Where clocks moved by half an hour, the hour as if they had not begins in another one.
  hour(
    CASE WHEN minute(local_start) = 0 AND local_start::DATE = hours.sent_date THEN local_start ELSE local_end END
  )::INTEGER AS hour_of_day,
  sum(sent)::BIGINT AS sent,
  sum(delivered)::BIGINT AS delivered,
  sum(failed)::BIGINT AS failed,
  sum(sending + not_found + pending)::BIGINT AS outstanding,
  sum(unknown)::BIGINT AS unknown,
  sum(invalid_id)::BIGINT AS invalid_id,
  sum(delivered) / CASE WHEN sum(pending) < sum(sent) THEN sum(sent) END AS delivery_rate,
  sum(delivered) / nullif(sum(delivered + failed), 0) AS delivery_rate_final,
  sum(delivered + failed) / CASE WHEN sum(pending) < sum(sent) THEN sum(sent) END AS dlr_coverage,
  bool_and(is_mature) AS is_mature
FROM hours, latest
WHERE hours.sent_date > latest.day - 28
GROUP BY hour_of_day
ORDER BY hour_of_day;
