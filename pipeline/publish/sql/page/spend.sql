-- Grain: one row per currency, bin of days and place of one dimension, and one per currency and bin: what was paid, and
-- what of it for messages that failed. Of messages with a price and a currency.
SELECT
  currency,
  bin,
  country_place AS country,
  sender_place AS sender_id,
  app_place AS app_id,
  sum(pay)::DOUBLE AS pay,
  coalesce(sum(pay) FILTER (WHERE delivery_status = 'failed'), 0)::DOUBLE AS pay_failed
FROM placed_messages
WHERE pay IS NOT NULL AND currency IS NOT NULL
GROUP BY GROUPING SETS (
  (currency, bin), (currency, bin, country_place), (currency, bin, sender_place), (currency, bin, app_place)
);
