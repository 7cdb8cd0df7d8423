-- Grain: one row per hour of sending and value of one dimension, of the days in messages: the whole hour, an app,
-- a country, a sender, a label, a network or a reason of failure.
-- Percentiles don't add up, so the roll-ups can't be computed from the rates.
-- One query per dimension: the latencies of a bucket are in memory until their percentiles are computed.
-- Parameters: now, unknown_after_seconds, zone.
WITH by_hour AS (
  /* messages_by_hour */
)
SELECT
  sent_date,
  sent_hour,
  /* dimension */ AS dimension,
  /* value */ AS value,
  /* rate_measures */
FROM by_hour
WHERE /* is_there */
GROUP BY sent_date, sent_hour, value;
