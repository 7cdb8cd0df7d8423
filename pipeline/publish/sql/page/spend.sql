-- Grain: one row per currency, bin of days and place of one dimension, and one per currency and bin: what was paid, and
-- what of it for messages that failed. Of messages with a price and a currency.
SELECT
  prices.currency,
  page_days.bin,
  countries.place AS country,
  senders.place AS sender_id,
  apps.place AS app_id,
  sum(prices.pay)::DOUBLE AS pay,
  coalesce(sum(prices.pay) FILTER (WHERE prices.delivery_status = 'failed'), 0)::DOUBLE AS pay_failed
FROM message_prices AS prices
INNER JOIN page_days USING (sent_date)
INNER JOIN page_names AS countries
  ON countries.dimension = 'country' AND prices.country IS NOT DISTINCT FROM countries.value
INNER JOIN page_names AS senders
  ON senders.dimension = 'sender_id' AND prices.sender_id IS NOT DISTINCT FROM senders.value
INNER JOIN page_names AS apps
  ON apps.dimension = 'app_id' AND prices.app_id IS NOT DISTINCT FROM apps.value
WHERE prices.pay IS NOT NULL AND prices.currency IS NOT NULL
GROUP BY GROUPING SETS (
  (currency, bin), (currency, bin, countries.place), (currency, bin, senders.place), (currency, bin, apps.place)
);
