-- Grain: one row an app, country or sender (or all messages) of the view worst_movers, which says what is compared: its
-- newest day among the $days that end with the latest of all messages. Largest changes first, at most $at_most.
WITH newest AS (
  SELECT *
  FROM worst_movers
  WHERE sent_date > (SELECT max(sent_date) FROM worst_movers WHERE dimension = 'all') - $days::INTEGER
  QUALIFY row_number() OVER (PARTITION BY dimension, value ORDER BY sent_date DESC) = 1
)
SELECT
  dimension,
  value,
  sent_date::VARCHAR AS sent_date,
  sent,
  delivery_rate,
  usual_rate,
  weeks,
  relative_change AS change
FROM newest
WHERE change IS NOT NULL
ORDER BY abs(change) DESC, dimension, value
LIMIT $at_most;
