-- Grain: one row per message with a price.
SELECT
  app_id,
  msg_id,
  sent_date,
  country,
  sender_id,
  delivery_status,
  price,
  pay,
  currency,
  charge_count
FROM messages
WHERE price IS NOT NULL OR pay IS NOT NULL;
