-- Grain: one row per day of sending that has rates: its messages, and whether each of them is final.
SELECT
  sent_date,
  sum(sent)::BIGINT AS sent,
  sum(sent) = sum(/* final_sum */) AS is_closed
FROM delivery_rollups_daily
WHERE dimension = 'all'
GROUP BY sent_date;
