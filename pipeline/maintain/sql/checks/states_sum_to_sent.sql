-- Bad rows: a bucket of a rate table whose seven states don't sum to sent, or a table and dimension whose day counts
-- another number of messages than there are.
WITH buckets AS (
  SELECT 'delivery_rates_daily' AS table_name, 'all' AS dimension, * EXCLUDE (app_id, country, sender_id)
  FROM delivery_rates_daily
  UNION ALL BY NAME
  SELECT 'delivery_rates_hourly' AS table_name, 'all' AS dimension, * EXCLUDE (app_id, country, sender_id, sent_hour)
  FROM delivery_rates_hourly
  UNION ALL BY NAME
  SELECT 'delivery_rollups_daily' AS table_name, * EXCLUDE (value)
  FROM delivery_rollups_daily
  UNION ALL BY NAME
  SELECT 'delivery_rollups_hourly' AS table_name, * EXCLUDE (value, sent_hour)
  FROM delivery_rollups_hourly
),
counted AS (
  SELECT
    table_name,
    dimension,
    sent_date,
    sum(sent)::BIGINT AS sent,
    count(*) FILTER (
      WHERE sent <> /* status_sum */
    ) AS buckets_that_do_not_sum
  FROM buckets
  GROUP BY ALL
),
expected (table_name, dimension) AS (
  VALUES ('delivery_rates_daily', 'all'), ('delivery_rates_hourly', 'all')
  UNION ALL
  SELECT unnest(['delivery_rollups_daily', 'delivery_rollups_hourly']), dimension
  FROM (VALUES ('all'), ('app_id'), ('country'), ('sender_id')) AS dimensions (dimension)
),
of_days AS (
  SELECT sent_date, count(*) AS messages
  FROM messages
  GROUP BY sent_date
),
there AS (
  SELECT *
  FROM of_days, expected
  UNION ALL BY NAME
  -- Labels are dimensions of the days that were derived with them; so are what was pushed.
  SELECT of_days.*, counted.table_name, counted.dimension
  FROM of_days
  JOIN counted USING (sent_date)
  WHERE starts_with(counted.dimension, 'label:') OR counted.dimension IN ('network', 'failure_reason')
)
SELECT
  sent_date::VARCHAR AS sent_date,
  table_name,
  dimension,
  coalesce(counted.sent, 0) AS sent,
  coalesce(there.messages, 0) AS messages,
  coalesce(counted.buckets_that_do_not_sum, 0) AS buckets_that_do_not_sum
FROM counted
FULL JOIN there USING (sent_date, table_name, dimension)
WHERE coalesce(counted.sent, 0) <> coalesce(there.messages, 0) OR counted.buckets_that_do_not_sum > 0
ORDER BY ALL;
