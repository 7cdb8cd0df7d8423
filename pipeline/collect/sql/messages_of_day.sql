-- Grain: one row per message of one day that was read now and is to be stored. Most have a key of their own.
SELECT * EXCLUDE (place)
FROM messages_read
WHERE sent_date = $day::DATE AND hash(app_id, msg_id) NOT IN (FROM doubtful_keys)
UNION ALL BY NAME
SELECT *
FROM new_messages
WHERE sent_date = $day::DATE
