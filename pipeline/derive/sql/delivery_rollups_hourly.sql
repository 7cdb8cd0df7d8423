-- Grain: one row a value of one dimension of one hour of sending: the hour as a whole, an app, a country or a sender.
-- Percentiles don't add up, so these can't be had from the rates.
-- One dimension at a time, since the latencies of a bucket are in memory until their percentiles are known.
-- Parameters: now, unknown_after_seconds, zone.
WITH by_hour AS (
  /* messages_by_hour */
)
SELECT
  sent_hour,
  /* dimension */ AS dimension,
  /* value */ AS value,
  /* rate_measures */
FROM by_hour
GROUP BY sent_hour, value;
