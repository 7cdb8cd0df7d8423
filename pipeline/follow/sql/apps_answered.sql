-- Grain: one row per app that had a status-0 answer since a moment.
-- Parameter: since.
SELECT DISTINCT
  app_id
FROM api_calls
WHERE status = '0' AND requested_at >= $since::TIMESTAMPTZ;
