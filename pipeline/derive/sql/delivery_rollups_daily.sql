-- Grain: one row per value of one dimension of one day of sending: the whole day, an app, a country, a sender,
-- a label, a network or a reason of failure.
-- Percentiles don't add up, so the roll-ups can't be computed from the rates.
-- One query per dimension: the latencies of a bucket are in memory until their percentiles are computed.
-- Parameters: now, today, unknown_after_seconds.
SELECT
  /* dimension */ AS dimension,
  /* value */ AS value,
  /* rate_measures */
FROM messages
WHERE /* is_there */
GROUP BY value;
