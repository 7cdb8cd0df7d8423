-- Grain: one row per answer of one day that stays.
SELECT *
FROM delivery_reports
ANTI JOIN moving_answers USING (app_id, msg_id, call_id, sent_date)
WHERE sent_date = $day::DATE
