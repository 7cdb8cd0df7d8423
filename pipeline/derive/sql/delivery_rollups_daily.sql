-- Grain: one row a value of one dimension of one day of sending: the day as a whole, an app, a country or a sender.
-- Percentiles don't add up, so these can't be had from the rates.
-- One dimension at a time, since the latencies of a bucket are in memory until their percentiles are known.
-- Parameters: now, unknown_after_seconds.
SELECT
  /* dimension */ AS dimension,
  /* value */ AS value,
  /* rate_measures */
FROM messages
GROUP BY value;
