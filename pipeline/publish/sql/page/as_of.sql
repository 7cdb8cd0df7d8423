-- Grain: one row: when the file was published and its latest answer arrived (UTC), the time zone of days, the version,
-- and the first day of which messages are kept, null if none were dropped.
SELECT
  strftime(any_value(published_at) AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M UTC') AS published_at,
  strftime(any_value(data_as_of) AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M UTC') AS data_as_of,
  any_value(time_zone) AS time_zone,
  any_value(pipeline_version) AS pipeline_version,
  any_value(messages_from) AS messages_from
FROM snapshot_info;
