-- Bad rows: an app, country or sender, or all messages, whose rate of final messages on the latest $days days is lower
-- than in the mature ones of the $baseline_days days before, by more than $bound and by more than $deviations standard errors of both.
-- Rate = delivered / (delivered + failed), which does not read low on young days.
-- A side with fewer than $fewest final messages is not compared.
-- Parameters: days, baseline_days, bound, deviations, fewest.
WITH latest AS (
  SELECT
    max(sent_date) AS sent_date
  FROM delivery_rollups_daily
  WHERE dimension = 'all'
),
sides AS (
  SELECT
    rollups.dimension,
    rollups.value,
    sum(delivered) FILTER (WHERE rollups.sent_date > latest.sent_date - $days::INTEGER) AS delivered_now,
    sum(delivered + failed) FILTER (WHERE rollups.sent_date > latest.sent_date - $days::INTEGER) AS final_now,
    sum(delivered) FILTER (WHERE is_mature AND rollups.sent_date <= latest.sent_date - $days::INTEGER) AS delivered_before,
    sum(delivered + failed) FILTER (WHERE is_mature AND rollups.sent_date <= latest.sent_date - $days::INTEGER) AS final_before
  FROM delivery_rollups_daily AS rollups, latest
  WHERE rollups.sent_date > latest.sent_date - ($days::INTEGER + $baseline_days::INTEGER)
  GROUP BY ALL
),
rates AS (
  SELECT
    *,
    delivered_now / final_now AS rate_now,
    delivered_before / final_before AS rate_before,
    (delivered_now + delivered_before) / (final_now + final_before) AS pooled
  FROM sides
  WHERE final_now >= $fewest AND final_before >= $fewest
)
SELECT
  dimension,
  value,
  final_now::BIGINT AS messages,
  round(rate_now, 4) AS rate_now,
  round(rate_before, 4) AS rate_before,
  round(rate_before - rate_now, 4) AS drop_of
FROM rates
WHERE
  rate_before - rate_now > $bound
  AND rate_before - rate_now > $deviations * sqrt(pooled * (1 - pooled) * (1 / final_now + 1 / final_before))
ORDER BY (rate_before - rate_now) * final_now DESC;
