-- How the asking of some days went, by api_calls.
-- Grain: one row per app. outcome and error: of its latest call if that failed, else null; calls: those since $since.
-- A call after $latest was stored by a clock that was ahead: it is the latest only where there is no other.
-- A single id that is refused (-14) is a bad id and says nothing of the app.
SELECT
  app_id,
  CASE WHEN last.outcome IN ('gave_up', 'refused') THEN last.outcome END AS outcome,
  last.error,
  calls
FROM (
  SELECT
    app_id,
    arg_max(
      {'outcome': outcome, 'error': error},
      {'is_known': requested_at <= $latest::TIMESTAMPTZ, 'at': requested_at}
    )
      FILTER (WHERE NOT (ids = 1 AND outcome = 'refused' AND status = '-14')) AS last,
    count(*) FILTER (WHERE requested_at >= $since::TIMESTAMPTZ) AS calls
  FROM api_calls
  WHERE outcome <> 'split'
  GROUP BY app_id
)
ORDER BY app_id
