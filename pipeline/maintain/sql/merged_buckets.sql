-- Grain: one row per key of a rate table, of rows whose keys may have become the same.
-- Counts are summed and rates computed from the sums; percentiles of several rows can't be combined, so these are null.
SELECT
  /* key */,
  sum(sent)::BIGINT AS sent,
  sum(delivered)::BIGINT AS delivered,
  sum(failed)::BIGINT AS failed,
  sum(sending)::BIGINT AS sending,
  sum(not_found)::BIGINT AS not_found,
  sum(pending)::BIGINT AS pending,
  sum(unknown)::BIGINT AS unknown,
  sum(invalid_id)::BIGINT AS invalid_id,
  sum(delivered) / CASE WHEN sum(pending) < sum(sent) THEN sum(sent) END AS delivery_rate,
  sum(delivered) / nullif(sum(delivered) + sum(failed), 0) AS delivery_rate_final,
  (sum(delivered) + sum(failed)) / CASE WHEN sum(pending) < sum(sent) THEN sum(sent) END AS dlr_coverage,
  CASE WHEN count(*) = 1 THEN any_value(latency_p50_seconds) END AS latency_p50_seconds,
  CASE WHEN count(*) = 1 THEN any_value(latency_p95_seconds) END AS latency_p95_seconds,
  CASE WHEN count(*) = 1 THEN any_value(latency_p99_seconds) END AS latency_p99_seconds,
  bool_and(is_mature) AS is_mature
FROM (/* rows */) AS erased
GROUP BY /* key */;
