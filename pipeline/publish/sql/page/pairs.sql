-- Grain: one row per bin of days and pair of places: country and sender, country and app, sender and app.
-- Places from $most on are one: the rest. A null is the dimension that a row sums over.
WITH placed AS (
  SELECT
    page_days.bin,
    least(countries.place, $most::INTEGER) AS country,
    least(senders.place, $most::INTEGER) AS sender_id,
    least(apps.place, $most::INTEGER) AS app_id,
    rates.sent,
    rates.delivered,
    rates.failed
  FROM delivery_rates_daily AS rates
  INNER JOIN page_days USING (sent_date)
  INNER JOIN page_names AS countries
    ON countries.dimension = 'country' AND rates.country IS NOT DISTINCT FROM countries.value
  INNER JOIN page_names AS senders
    ON senders.dimension = 'sender_id' AND rates.sender_id IS NOT DISTINCT FROM senders.value
  INNER JOIN page_names AS apps
    ON apps.dimension = 'app_id' AND rates.app_id IS NOT DISTINCT FROM apps.value
)
SELECT
  bin,
  country,
  sender_id,
  app_id,
  sum(sent)::BIGINT AS sent,
  sum(delivered)::BIGINT AS delivered,
  sum(failed)::BIGINT AS failed
FROM placed
GROUP BY GROUPING SETS ((bin, country, sender_id), (bin, country, app_id), (bin, sender_id, app_id));
