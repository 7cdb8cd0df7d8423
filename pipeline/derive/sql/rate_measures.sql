-- Measures of a bucket of messages, the same for every rate table.
-- The three percentiles are one aggregate, so that the latencies are in memory once.
-- Numerators and denominators: see each line; null where no message of the bucket was ever asked for.
-- Percentiles are exact (quantile_cont), of delivered messages.
count(*) AS sent,
/* status_counts */,
delivered / CASE WHEN pending < sent THEN sent END AS delivery_rate,
delivered / nullif(delivered + failed, 0) AS delivery_rate_final,
(delivered + failed) / CASE WHEN pending < sent THEN sent END AS dlr_coverage,
quantile_cont(latency_seconds, [0.50, 0.95, 0.99]) FILTER (WHERE delivery_status = 'delivered') AS latency_percentiles,
latency_percentiles[1] AS latency_p50_seconds,
latency_percentiles[2] AS latency_p95_seconds,
latency_percentiles[3] AS latency_p99_seconds,
bool_and(
  /* has_ended */
  AND (
    is_final
    OR (
      delivery_status <> 'pending'
      AND epoch_us($now::TIMESTAMPTZ) - epoch_us(sent_at) > $unknown_after_seconds * 1e6
    )
  )
) AS is_mature
