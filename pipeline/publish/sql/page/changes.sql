-- Grain: one row per app, country or sender, and one for all messages: its newest row of worst_movers within the latest
-- $days. Largest changes first, at most $at_most.
-- change = (delivery_rate - usual_rate) / usual_rate.
-- The characters 8296 and 8297 isolate a name, so that one written from right to left does not reorder its neighbours.
WITH newest AS (
  SELECT *
  FROM worst_movers
  WHERE sent_date > (SELECT max(sent_date) FROM worst_movers WHERE dimension = 'all') - $days::INTEGER
  QUALIFY row_number() OVER (PARTITION BY dimension, value ORDER BY sent_date DESC) = 1
)
SELECT
  CASE dimension
    WHEN 'all' THEN 'all messages'
    ELSE
      CASE dimension WHEN 'app_id' THEN 'app' WHEN 'sender_id' THEN 'sender' ELSE dimension END
      || ' ' || chr(8296) || coalesce(value, 'not known') || chr(8297)
  END AS label,
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
