-- Grain: one row per local hour of the day, over the latest 28 days.
WITH
/* local_hours */,
counted AS (
  SELECT
    hour_of_day,
    /* summed_counts */
  FROM local_hours
  GROUP BY hour_of_day
)
SELECT
  hour_of_day,
  /* shown_measures */
FROM counted
ORDER BY hour_of_day;
