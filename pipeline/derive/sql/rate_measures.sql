-- Measures of a bucket of messages, the same for every rate table.
-- The three percentiles are one aggregate, so that the latencies are in memory once.
-- Numerators and denominators: see each line. Percentiles are exact (quantile_cont), of delivered messages.
count(*) AS sent,
/* status_counts */,
delivered / nullif(sent, 0) AS delivery_rate,
delivered / nullif(delivered + failed, 0) AS delivery_rate_final,
(delivered + failed) / nullif(sent, 0) AS dlr_coverage,
quantile_cont(latency_seconds, [0.50, 0.95, 0.99]) FILTER (WHERE delivery_status = 'delivered') AS latency_percentiles,
latency_percentiles[1] AS latency_p50_seconds,
latency_percentiles[2] AS latency_p95_seconds,
latency_percentiles[3] AS latency_p99_seconds,
bool_and(
  is_final OR epoch_us($now::TIMESTAMPTZ) - epoch_us(sent_at) > $unknown_after_seconds * 1e6
) AS is_mature
