-- Grain: one row an amount of microseconds by which hours of the zone begin before those of UTC, while messages were
-- sent: one for all, unless clocks were set by a part of an hour. They are set at whole quarters of an hour.
-- Parameter: zone.
WITH span AS (
  SELECT
    min(epoch_us(sent_at)) // 900000000 AS first_quarter,
    max(epoch_us(sent_at)) // 900000000 AS last_quarter
  FROM messages
),
quarters AS (
  SELECT make_timestamptz(unnest(range(first_quarter, last_quarter + 1)) * 900000000) AS quarter
  FROM span
)
SELECT DISTINCT (epoch_us(quarter AT TIME ZONE $zone) - epoch_us(quarter) + 86400000000) % 3600000000 AS shift
FROM quarters;
