-- Counts of each value of a dimension by span of days, which ends with the latest day of sending.
spans AS (
  SELECT
    unnest([1, 7, 28, NULL])::INTEGER AS days
),
latest AS (
  SELECT max(sent_date) AS day
  FROM delivery_rollups_daily
),
counted AS NOT MATERIALIZED (
  SELECT
    spans.days,
    rollups.dimension,
    rollups.value,
    /* summed_counts */
  FROM delivery_rollups_daily AS rollups, spans, latest
  WHERE spans.days IS NULL OR rollups.sent_date > latest.day - spans.days
  GROUP BY spans.days, rollups.dimension, rollups.value
)
