-- Grain: one row per bin of days and pair of places: a further dimension with country, with sender and with app.
-- And one per bin and place of that dimension: how many arrived within 5 seconds, 30 seconds and 5 minutes.
-- Places from $most on are one: the rest; of the dimension alone they are as they are. A null is what a row sums over.
WITH placed AS (
  SELECT
    bin,
    least(coalesce(place, $most::INTEGER), $most::INTEGER) AS further,
    least(country_place, $most::INTEGER) AS country,
    least(sender_place, $most::INTEGER) AS sender_id,
    least(app_place, $most::INTEGER) AS app_id,
    place,
    delivery_status,
    CASE WHEN delivery_status = 'delivered' THEN latency_seconds END AS seconds
  FROM placed_by($dimension)
)
SELECT
  bin,
  further,
  country,
  sender_id,
  app_id,
  place,
  count(*) AS sent,
  count(*) FILTER (WHERE delivery_status = 'delivered') AS delivered,
  count(*) FILTER (WHERE delivery_status = 'failed') AS failed,
  count(seconds) AS timed,
  count(*) FILTER (WHERE seconds <= 5) AS within_5s,
  count(*) FILTER (WHERE seconds <= 30) AS within_30s,
  count(*) FILTER (WHERE seconds <= 300) AS within_5min
FROM placed
GROUP BY GROUPING SETS ((bin, further, country), (bin, further, sender_id), (bin, further, app_id), (bin, place));
