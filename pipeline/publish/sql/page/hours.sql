-- Grain: one row per weekday (1 = Monday), local hour of sending, bin of days and place of a dimension below $most, and
-- one for all messages: for the map of hours.
SELECT
  rollups.dimension,
  coalesce(names.place, 0) AS place,
  page_days.bin,
  isodow(rollups.sent_date)::INTEGER AS weekday,
  hour(rollups.sent_hour AT TIME ZONE zone.name)::INTEGER AS hour,
  sum(rollups.sent)::BIGINT AS sent,
  sum(rollups.delivered)::BIGINT AS delivered
FROM delivery_rollups_hourly AS rollups
INNER JOIN page_days USING (sent_date)
CROSS JOIN (SELECT any_value(time_zone) AS name FROM snapshot_info) AS zone
LEFT JOIN page_names AS names
  ON rollups.dimension = names.dimension AND rollups.value IS NOT DISTINCT FROM names.value
WHERE rollups.dimension = 'all' OR names.place < $most::INTEGER
GROUP BY ALL;
