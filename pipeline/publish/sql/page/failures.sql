-- Grain: one row a country and sender with failed messages in the $days that end with the latest, most failures first.
-- failed_share = failed / sent.
SELECT
  country,
  sender_id,
  sum(sent)::BIGINT AS sent,
  sum(failed)::BIGINT AS failed,
  sum(failed) / sum(sent) AS failed_share
FROM delivery_rates_daily
WHERE sent_date > (SELECT max(sent_date) FROM delivery_rates_daily) - $days::INTEGER
GROUP BY country, sender_id
HAVING sum(failed) > 0
ORDER BY failed DESC, sent, country, sender_id
LIMIT $at_most;
