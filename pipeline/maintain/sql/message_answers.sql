-- Grain: one row per answer for a message of `meant`, in order of arrival, with the call that brought it.
SELECT
  reports.app_id,
  reports.msg_id,
  reports.sent_date,
  reports.observed_at,
  reports.status,
  reports.receive_time,
  reports.extra,
  reports.call_id,
  calls.requested_at,
  calls.ids,
  calls.http_status,
  calls.attempts,
  calls.elapsed_ms,
  calls.outcome
FROM delivery_reports AS reports
SEMI JOIN meant USING (sent_date, app_id, msg_id)
LEFT JOIN api_calls AS calls USING (call_id)
ORDER BY reports.observed_at, reports.call_id;
