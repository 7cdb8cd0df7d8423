-- Grain: one row per answer for a message. seconds_since_sent = observed_at - sent_at.
SELECT
  reports.app_id,
  reports.msg_id,
  reports.sent_date,
  sent.sent_at,
  row_number() OVER (
    PARTITION BY reports.sent_date, reports.app_id, reports.msg_id
    ORDER BY reports.observed_at, reports.call_id
  ) AS poll,
  reports.observed_at,
  reports.status,
  reports.receive_time,
  (epoch_us(reports.observed_at) - epoch_us(sent.sent_at)) / 1e6 AS seconds_since_sent,
  reports.call_id
FROM delivery_reports AS reports
LEFT JOIN sent_messages AS sent
  ON
    reports.sent_date = sent.sent_date
    AND reports.app_id = sent.app_id
    AND reports.msg_id = sent.msg_id;
