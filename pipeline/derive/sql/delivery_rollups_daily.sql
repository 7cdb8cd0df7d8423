-- Grain: one row per day of sending and value of one dimension, of the days in messages: the whole day, an app,
-- a country, a sender, a label, a network or a reason of failure.
-- Percentiles don't add up, so the roll-ups can't be computed from the rates.
-- One query per dimension: the latencies of a bucket are in memory until their percentiles are computed.
-- Parameters: now, today, unknown_after_seconds.
SELECT
  sent_date,
  /* dimension */ AS dimension,
  /* value */ AS value,
  /* rate_measures */
FROM messages
WHERE /* is_there */
GROUP BY sent_date, value;
