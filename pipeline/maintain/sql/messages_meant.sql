-- Grain: one row per message that a text means (its id, its order id, or its number in stored form), newest first.
-- A number that only an answer told is in `messages` alone.
-- Parameters: text, order_id, number: the text as given, and as an order id or a number would be stored.
SELECT DISTINCT app_id, msg_id, sent_date, sent_at
FROM (
  SELECT app_id, msg_id, sent_date, sent_at
  FROM sent_messages
  WHERE msg_id = $text OR order_id IN ($text, $order_id) OR number IN ($text, $number)
  UNION ALL
  SELECT app_id, msg_id, sent_date, sent_at
  FROM messages
  WHERE number IN ($text, $number)
)
ORDER BY sent_at DESC, app_id, msg_id;
