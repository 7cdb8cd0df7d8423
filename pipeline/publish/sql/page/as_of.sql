-- Grain: one row: when the file was published and its latest answer arrived (UTC), the time zone of days, the version.
SELECT
  strftime(any_value(published_at) AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M UTC') AS published_at,
  strftime(any_value(data_as_of) AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M UTC') AS data_as_of,
  any_value(time_zone) AS time_zone,
  any_value(pipeline_version) AS pipeline_version
FROM snapshot_info;
