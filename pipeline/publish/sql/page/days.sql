-- Grain: one row per day of sending among the latest $days_at_most, newest first, and whether it is mature.
SELECT
  sent_date,
  is_mature
FROM delivery_rollups_daily
WHERE
  dimension = 'all'
  AND sent_date > (SELECT max(sent_date) FROM delivery_rollups_daily WHERE dimension = 'all') - $days_at_most::INTEGER
ORDER BY sent_date DESC;
