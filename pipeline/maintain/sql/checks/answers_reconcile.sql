-- Bad rows: a call with an answer whose tallies, where the platform gave them, differ from the stored answers.
-- is_known: the difference was recorded when the answer arrived (outcome mismatch); else rows were lost or doubled
-- since.
WITH stored AS (
  SELECT
    call_id,
    count(*) FILTER (WHERE status = 'delivered') AS delivered,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status = 'sending') AS sending,
    count(*) FILTER (WHERE status = 'not_found') AS not_found,
    count(*) AS answers
  FROM delivery_reports
  GROUP BY call_id
)
SELECT
  calls.sent_date::VARCHAR AS sent_date,
  calls.app_id,
  calls.call_id,
  calls.outcome = 'mismatch' AS is_known,
  calls.ids,
  coalesce(stored.answers, 0) AS answers,
  calls.success,
  coalesce(stored.delivered, 0) AS delivered,
  calls.fail,
  coalesce(stored.failed, 0) AS failed,
  calls.sending AS sending_told,
  coalesce(stored.sending, 0) AS sending,
  calls.not_found AS not_found_told,
  coalesce(stored.not_found, 0) AS not_found
FROM api_calls AS calls
LEFT JOIN stored USING (call_id)
WHERE
  calls.outcome = 'mismatch'
  OR (
    calls.outcome = 'ok'
    AND (
      calls.ids <> coalesce(stored.answers, 0)
      OR calls.success <> coalesce(stored.delivered, 0)
      OR calls.fail <> coalesce(stored.failed, 0)
      OR calls.sending <> coalesce(stored.sending, 0)
      OR calls.not_found <> coalesce(stored.not_found, 0)
    )
  )
ORDER BY is_known, sent_date, call_id;
