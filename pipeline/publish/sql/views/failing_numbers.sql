-- Grain: one row per number with at least 3 failed and no delivered message in the 28 days that end with the latest day
-- of sending. Numbers are as SMS_NUMBERS has them stored; masked ones may stand for several.
SELECT
  number,
  max(country) AS country,
  count(*) AS sent,
  count(*) FILTER (WHERE delivery_status = 'failed') AS failed,
  count(*) FILTER (WHERE delivery_status = 'invalid_id') AS invalid_id,
  count(*) FILTER (WHERE NOT is_final) AS not_final,
  min(sent_at) AS first_sent_at,
  max(sent_at) AS last_sent_at
FROM messages
SEMI JOIN (
  SELECT sent_date
  FROM delivery_rollups_daily
  WHERE dimension = 'all' AND sent_date > (SELECT max(sent_date) FROM delivery_rollups_daily) - 28
) AS latest USING (sent_date)
WHERE number IS NOT NULL
GROUP BY number
HAVING failed >= 3 AND count(*) FILTER (WHERE delivery_status = 'delivered') = 0
ORDER BY failed DESC, number;
