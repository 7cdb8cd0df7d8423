-- Grain: one row per weekday and local hour of the day, over the latest 28 days: four of each weekday.
WITH
/* local_hours */,
counted AS (
  SELECT
    isodow(sent_date)::INTEGER AS weekday,
    hour_of_day,
    /* summed_counts */
  FROM local_hours
  GROUP BY weekday, hour_of_day
)
SELECT
  weekday,
  hour_of_day,
  /* shown_measures */
FROM counted
ORDER BY weekday, hour_of_day;
