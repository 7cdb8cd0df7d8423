-- Grain: one row per country and sender with failed messages in the latest $days, most failures first, at most
-- $at_most.
-- failed_share = failed / sent.
-- The characters 8296 and 8297 isolate a name, so that one written from right to left does not reorder its neighbours.
SELECT
  coalesce(rates.country, 'not known') || ' · ' || chr(8296) || coalesce(rates.sender_id, 'not known') || chr(8297) AS label,
  coalesce(rates.country, 'not known') AS country,
  coalesce(rates.sender_id, 'not known') AS sender,
  sum(rates.sent)::BIGINT AS sent,
  sum(rates.failed)::BIGINT AS failed,
  sum(rates.failed) / sum(rates.sent) AS failed_share
FROM delivery_rates_daily AS rates
WHERE sent_date > (SELECT max(sent_date) FROM delivery_rates_daily) - $days::INTEGER
GROUP BY rates.country, rates.sender_id
HAVING sum(rates.failed) > 0
ORDER BY sum(rates.failed) DESC, sum(rates.sent), rates.country, rates.sender_id
LIMIT $at_most;
