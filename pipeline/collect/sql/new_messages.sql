-- Grain: one row per message to be stored of those with unsettled records: new, or other than it is stored.
CREATE OR REPLACE TABLE new_messages AS
WITH read_now AS (
  SELECT * EXCLUDE (key, place, is_read)
  FROM winners
  WHERE is_read
),
stored AS (
  SELECT * EXCLUDE (key)
  FROM touched
)
SELECT * EXCLUDE (content)
FROM (SELECT *, hash(read_now) AS content FROM read_now)
ANTI JOIN (SELECT app_id, msg_id, hash(stored) AS content FROM stored) AS known USING (app_id, msg_id, content);
