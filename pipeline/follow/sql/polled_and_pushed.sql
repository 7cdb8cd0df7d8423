-- Grain: one row per message that is looked at, with its latest push and the stretch of its app.
SELECT
  asked.*,
  last_pushes.pushed_at,
  coalesce(push_stretch.stretch, 1) AS stretch
FROM (/* polled */) AS asked
LEFT JOIN last_pushes USING (sent_date, app_id, msg_id)
LEFT JOIN push_stretch USING (app_id)
