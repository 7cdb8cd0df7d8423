-- Grain: one row per day with replaced messages: how many leave it, how many of those are corrected, and how many rows
-- in place of stored ones it gets.
SELECT
  sent_date,
  sum(leaving)::BIGINT AS leaving,
  sum(corrected)::BIGINT AS corrected,
  sum(arriving)::BIGINT AS arriving
FROM (
  SELECT sent_date, 1 AS leaving, is_corrected::INTEGER AS corrected, 0 AS arriving
  FROM removed
  UNION ALL
  SELECT sent_date, 0, 0, 1
  FROM new_messages
  SEMI JOIN removed ON removed.new_app_id = new_messages.app_id AND removed.msg_id = new_messages.msg_id
)
GROUP BY sent_date
ORDER BY sent_date;
