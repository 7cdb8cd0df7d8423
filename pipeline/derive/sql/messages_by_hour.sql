-- Grain: one row per message of the partition, with the start of the local hour of sent_at as an instant.
-- date_trunc on TIMESTAMPTZ would merge the two hours that an hour becomes when clocks go back; subtracting the minutes
-- since the local hour began does not. Since 1972 every zone changes its clocks at whole quarters of an hour, so the
-- local time is computed once per quarter: computing it per message costs as much as the rest of an hourly rate.
-- Parameter: zone.
SELECT
  messages.*,
  quarters.sent_hour
FROM messages
JOIN (
  SELECT
    quarter,
    make_timestamptz(
      quarter * 900000000 - epoch_us(make_timestamptz(quarter * 900000000) AT TIME ZONE $zone) % 3600000000
    ) AS sent_hour
  FROM (SELECT DISTINCT epoch_us(sent_at) // 900000000 AS quarter FROM messages)
) AS quarters ON epoch_us(messages.sent_at) // 900000000 = quarters.quarter
