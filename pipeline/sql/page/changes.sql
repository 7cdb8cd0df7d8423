-- Grain: one row an app, country or sender (or all messages), with its newest mature day of the $days that end with the
-- latest mature day: that day's rate against the average rate of the same weekday in the four weeks before.
-- Buckets count that are mature and have $messages_at_least messages; weeks says how many of the four do.
-- change = rate / usual_rate - 1. Largest changes first.
WITH buckets AS (
  SELECT
    dimension,
    value,
    sent_date,
    sent,
    delivery_rate
  FROM delivery_rollups_daily
  WHERE is_mature AND sent >= $messages_at_least
),
newest AS (
  SELECT
    *
  FROM buckets
  WHERE sent_date > (SELECT max(sent_date) FROM buckets WHERE dimension = 'all') - $days::INTEGER
  QUALIFY row_number() OVER (PARTITION BY dimension, value ORDER BY sent_date DESC) = 1
)
SELECT
  newest.dimension,
  newest.value,
  newest.sent_date::VARCHAR AS sent_date,
  any_value(newest.sent) AS sent,
  any_value(newest.delivery_rate) AS delivery_rate,
  avg(earlier.delivery_rate) AS usual_rate,
  count(*) AS weeks,
  any_value(newest.delivery_rate) / nullif(avg(earlier.delivery_rate), 0) - 1 AS change
FROM newest
INNER JOIN buckets AS earlier
  ON earlier.dimension = newest.dimension
  AND earlier.value IS NOT DISTINCT FROM newest.value
  AND newest.sent_date - earlier.sent_date IN (7, 14, 21, 28)
GROUP BY newest.dimension, newest.value, newest.sent_date
HAVING change IS NOT NULL
ORDER BY abs(change) DESC, newest.dimension, newest.value
LIMIT $at_most;
