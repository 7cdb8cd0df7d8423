-- Grain: one row per report whose message is not on its day: logged later, or corrected. `old_date` is where it lies.
CREATE OR REPLACE TEMP TABLE moved AS
WITH found AS (
  SELECT
    app_id,
    msg_id,
    list(sent_date ORDER BY sent_date) AS days
  FROM sent_messages
  SEMI JOIN pushed_reports USING (app_id, msg_id)
  GROUP BY app_id, msg_id
)
SELECT
  pushed_reports.* REPLACE (found.days[1] AS sent_date),
  pushed_reports.sent_date AS old_date
FROM pushed_reports
LEFT JOIN found USING (app_id, msg_id)
WHERE found.days[1] IS DISTINCT FROM pushed_reports.sent_date
  AND NOT coalesce(list_contains(found.days, pushed_reports.sent_date), false);
