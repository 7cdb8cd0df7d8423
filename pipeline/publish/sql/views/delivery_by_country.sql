-- Grain: one row per country and span of days, which ends with the latest day of sending.
-- delivery_rate = delivered / sent; delivery_rate_final = delivered / (delivered + failed); dlr_coverage = (delivered +
-- failed) / sent; of summed counts, null where the denominator is 0 or no message was ever asked for.
WITH spans AS (
  SELECT
    unnest([1, 7, 28, NULL])::INTEGER AS days
),
latest AS (
  SELECT max(sent_date) AS day
  FROM delivery_rollups_daily
)
SELECT
  spans.days,
  rollups.value AS country,
  sum(sent)::BIGINT AS sent,
  sum(delivered)::BIGINT AS delivered,
  sum(failed)::BIGINT AS failed,
  sum(sending + not_found + pending)::BIGINT AS outstanding,
  sum(unknown)::BIGINT AS unknown,
  sum(invalid_id)::BIGINT AS invalid_id,
  sum(delivered) / CASE WHEN sum(pending) < sum(sent) THEN sum(sent) END AS delivery_rate,
  sum(delivered) / nullif(sum(delivered + failed), 0) AS delivery_rate_final,
  sum(delivered + failed) / CASE WHEN sum(pending) < sum(sent) THEN sum(sent) END AS dlr_coverage,
  bool_and(is_mature) AS is_mature
FROM delivery_rollups_daily AS rollups, spans, latest
WHERE
  rollups.dimension = 'country'
  AND (spans.days IS NULL OR rollups.sent_date > latest.day - spans.days)
GROUP BY spans.days, rollups.value
ORDER BY spans.days, sum(sent) DESC, rollups.value;
