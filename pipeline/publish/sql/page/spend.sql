-- Grain: one row per currency, bin of days and place of one dimension, and one per currency and bin: what was paid, and
-- what of it for messages that failed. Of messages with a price and a currency.
SELECT
  messages.currency,
  page_days.bin,
  countries.place AS country,
  senders.place AS sender_id,
  apps.place AS app_id,
  sum(messages.pay)::DOUBLE AS pay,
  coalesce(sum(messages.pay) FILTER (WHERE messages.delivery_status = 'failed'), 0)::DOUBLE AS pay_failed
FROM messages
INNER JOIN page_days USING (sent_date)
INNER JOIN page_names AS countries
  ON countries.dimension = 'country' AND messages.country IS NOT DISTINCT FROM countries.value
INNER JOIN page_names AS senders
  ON senders.dimension = 'sender_id' AND messages.sender_id IS NOT DISTINCT FROM senders.value
INNER JOIN page_names AS apps
  ON apps.dimension = 'app_id' AND messages.app_id IS NOT DISTINCT FROM apps.value
WHERE messages.pay IS NOT NULL AND messages.currency IS NOT NULL
GROUP BY GROUPING SETS (
  (currency, bin), (currency, bin, countries.place), (currency, bin, senders.place), (currency, bin, apps.place)
);
