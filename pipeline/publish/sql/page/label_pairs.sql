-- Grain: one row per bin of days and pair of places: a label with country, with sender and with app.
-- And one per bin and place of the label: how many arrived within 5 seconds, 30 seconds and 5 minutes.
-- Places from $most on are one: the rest; of the label alone they are as they are. A null is what a row sums over.
WITH placed AS (
  SELECT
    page_days.bin,
    least(coalesce(labels.place, $most::INTEGER), $most::INTEGER) AS label,
    least(countries.place, $most::INTEGER) AS country,
    least(senders.place, $most::INTEGER) AS sender_id,
    least(apps.place, $most::INTEGER) AS app_id,
    labels.place,
    messages.delivery_status,
    CASE WHEN messages.delivery_status = 'delivered' THEN messages.latency_seconds END AS seconds
  FROM messages
  INNER JOIN page_days USING (sent_date)
  INNER JOIN page_names AS countries
    ON countries.dimension = 'country' AND messages.country IS NOT DISTINCT FROM countries.value
  INNER JOIN page_names AS senders
    ON senders.dimension = 'sender_id' AND messages.sender_id IS NOT DISTINCT FROM senders.value
  INNER JOIN page_names AS apps
    ON apps.dimension = 'app_id' AND messages.app_id IS NOT DISTINCT FROM apps.value
  LEFT JOIN page_names AS labels
    ON labels.dimension = 'label:' || $label AND messages.labels[$label] IS NOT DISTINCT FROM labels.value
)
SELECT
  bin,
  label,
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
GROUP BY GROUPING SETS ((bin, label, country), (bin, label, sender_id), (bin, label, app_id), (bin, place));
