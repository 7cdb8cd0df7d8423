-- Grain: one row per stored message of one day that no log corrects.
SELECT *
FROM sent_messages
ANTI JOIN removed USING (app_id, msg_id, sent_date)
WHERE sent_date = $day::DATE
