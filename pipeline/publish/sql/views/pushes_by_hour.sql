-- Grain: one row per app and hour (UTC) of arrival. repeated = reports - distinct messages and statuses.
-- unlogged: messages that no log has. contradicting: messages whose final answer says the other.
SELECT
  to_timestamp(epoch_us(pushed.received_at) // 3600000000 * 3600) AS hour,
  pushed.app_id,
  count(*) AS reports,
  count(DISTINCT pushed.msg_id) AS messages,
  count(*) - count(DISTINCT (pushed.msg_id, pushed.status)) AS repeated,
  count(DISTINCT pushed.msg_id) FILTER (WHERE pushed.sent_date IS NULL) AS unlogged,
  count(DISTINCT pushed.msg_id) FILTER (
    WHERE messages.delivery_status IN ('delivered', 'failed') AND messages.delivery_status <> pushed.status
  ) AS contradicting
FROM pushed_reports AS pushed
LEFT JOIN messages
  ON
    pushed.sent_date = messages.sent_date
    AND pushed.app_id = messages.app_id
    AND pushed.msg_id = messages.msg_id
GROUP BY ALL
ORDER BY hour, pushed.app_id;
