-- Grain: one row per message that a report was pushed for: when the latest one arrived. One that a clock which was ahead
-- stored counts once its time has come.
SELECT
  sent_date,
  app_id,
  msg_id,
  max(received_at) AS pushed_at
FROM pushed_reports
WHERE sent_date IS NOT NULL AND NOT is_ahead(received_at, getvariable('polled_at')::TIMESTAMPTZ)
GROUP BY sent_date, app_id, msg_id
