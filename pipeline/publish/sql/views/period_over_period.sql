-- Grain: one row per span (7 or 28 days), dimension and value with mature days in the span or in the one before.
-- The span ends with the latest mature day of all messages; the one before has as many days. Of both, mature days only.
-- delivery_rate = delivered / sent. change_points = 100 * (delivery_rate - delivery_rate_before), with Newcombe's hybrid
-- score interval of the difference of two independent rates (Statistics in Medicine 17, 1998, 873-890, method 10), made
-- of the Wilson intervals of both: below by sqrt((rate - low) ^ 2 + (high_before - rate_before) ^ 2), above by
-- sqrt((high - rate) ^ 2 + (rate_before - low_before) ^ 2).
WITH spans AS (
  SELECT
    unnest([7, 28])::INTEGER AS days
),
latest AS (
  SELECT max(sent_date) AS day
  FROM delivery_rollups_daily
  WHERE dimension = 'all' AND is_mature
),
counted AS (
  SELECT
    spans.days,
    latest.day AS last_day,
    rollups.sent_date > latest.day - spans.days AS is_now,
    rollups.dimension,
    rollups.value,
    count(*) AS mature_days,
    /* summed_counts */
  FROM delivery_rollups_daily AS rollups, spans, latest
  WHERE rollups.is_mature AND rollups.sent_date > latest.day - 2 * spans.days AND rollups.sent_date <= latest.day
  GROUP BY ALL
),
rated AS (
  SELECT
    days,
    last_day,
    is_now,
    dimension,
    value,
    mature_days,
    sent,
    delivered,
    failed,
    delivered / sent AS delivery_rate,
    /* rate_interval */
  FROM counted
),
compared AS (
  SELECT
    coalesce(now.days, before.days) AS days,
    coalesce(now.last_day, before.last_day) AS last_day,
    coalesce(now.dimension, before.dimension) AS dimension,
    coalesce(now.value, before.value) AS value,
    coalesce(now.mature_days, 0) AS mature_days,
    coalesce(now.sent, 0) AS sent,
    coalesce(now.delivered, 0) AS delivered,
    coalesce(now.failed, 0) AS failed,
    now.delivery_rate,
    now.delivery_rate_low,
    now.delivery_rate_high,
    coalesce(before.mature_days, 0) AS mature_days_before,
    coalesce(before.sent, 0) AS sent_before,
    coalesce(before.delivered, 0) AS delivered_before,
    coalesce(before.failed, 0) AS failed_before,
    before.delivery_rate AS delivery_rate_before,
    now.delivery_rate - before.delivery_rate AS change,
    100 * change AS change_points,
    100 * (
      change
      - sqrt((now.delivery_rate - now.delivery_rate_low) ** 2 + (before.delivery_rate_high - before.delivery_rate) ** 2)
    ) AS change_points_low,
    100 * (
      change
      + sqrt((now.delivery_rate_high - now.delivery_rate) ** 2 + (before.delivery_rate - before.delivery_rate_low) ** 2)
    ) AS change_points_high,
    coalesce(change_points_low > 0 OR change_points_high < 0, false) AS is_beyond_chance,
    now.sent * change AS delivered_more
  FROM (FROM rated WHERE is_now) AS now
  FULL JOIN (FROM rated WHERE NOT is_now) AS before
    ON
      now.days = before.days
      AND now.dimension = before.dimension
      AND now.value IS NOT DISTINCT FROM before.value
)
SELECT * EXCLUDE (change)
FROM compared
ORDER BY days, dimension, sent DESC, value;
