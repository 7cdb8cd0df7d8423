-- Bad rows: an app, country or sender, or all messages, whose newest row of worst_movers within the latest $days is a
-- drop: at least 25 % below the average of the same weekday in the four weeks before.
-- Parameters: days.
WITH newest AS (
  SELECT *
  FROM worst_movers
  WHERE sent_date > (SELECT max(sent_date) FROM worst_movers) - $days::INTEGER
  QUALIFY row_number() OVER (PARTITION BY dimension, value ORDER BY sent_date DESC) = 1
)
SELECT
  dimension,
  value,
  sent AS messages,
  round(delivery_rate, 4) AS rate_now,
  round(usual_rate, 4) AS rate_before,
  round(usual_rate - delivery_rate, 4) AS drop_of
FROM newest
WHERE is_drop
ORDER BY drop_of * sent DESC;
