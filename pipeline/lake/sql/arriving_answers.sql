-- Grain: one row per answer that one day gets, under the app that its message has now.
SELECT * EXCLUDE (new_app_id, new_date) REPLACE (new_app_id AS app_id, new_date AS sent_date)
FROM moving_answers
WHERE new_date = $day::DATE
