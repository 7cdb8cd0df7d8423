-- Grain: one row per mature bucket of delivery_rollups_daily with at least 250 messages, if a bucket of the same
-- weekday in the four weeks before is mature and as large. Reasons of failure have no rate.
-- usual_rate = average of the rates of these weeks, each week alike; relative_change = (delivery_rate - usual_rate) /
-- usual_rate.
WITH large AS (
  SELECT
    sent_date,
    dimension,
    value,
    sent,
    delivery_rate,
    /* rate_interval */
  FROM delivery_rollups_daily
  WHERE is_mature AND sent >= 250 AND dimension <> 'failure_reason'
),
weeks AS (
  SELECT
    unnest([1, 2, 3, 4])::INTEGER AS week
),
usual AS (
  SELECT
    (large.sent_date + 7 * weeks.week)::DATE AS sent_date,
    large.dimension,
    large.value,
    count(*) AS weeks,
    avg(large.delivery_rate ORDER BY weeks.week) AS usual_rate
  FROM large, weeks
  GROUP BY ALL
),
compared AS (
  SELECT
    large.sent_date,
    large.dimension,
    large.value,
    large.sent,
    large.delivery_rate,
    large.delivery_rate_low,
    large.delivery_rate_high,
    usual.usual_rate,
    usual.weeks,
    (large.delivery_rate - usual.usual_rate) / nullif(usual.usual_rate, 0) AS relative_change
  FROM large
  INNER JOIN usual
    ON
      large.sent_date = usual.sent_date
      AND large.dimension = usual.dimension
      AND large.value IS NOT DISTINCT FROM usual.value
)
SELECT
  *,
  -- Rounded, so that a drop of 25 % is one however its two rates are stored.
  coalesce(round(relative_change, 9) <= -0.25, false) AS is_drop
FROM compared
ORDER BY sent_date DESC, relative_change, dimension, value;
