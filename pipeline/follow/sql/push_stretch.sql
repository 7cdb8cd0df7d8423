-- Grain: one row per app: how many times as long as usual its messages wait while nothing is pushed for them.
-- Of the messages sent in the last days, but not in the last hour, the share that was pushed is `complete`. A message
-- that is not final yet counts as one whose push was lost, so it reads low. `late_complete` is the same of the last
-- hours alone, where they have enough messages: a receiver that stands still is noticed within two hours.
-- stretch = 1 / (1 - complete), between 1 and $most_stretch; 1 where less than half was pushed. Ten messages without a
-- push are added, so that few messages prove little.
-- One in $one_in messages is looked at. Parameters: now, one_in, most_stretch.
WITH looked_at AS (
  SELECT
    app_id,
    sent_at,
    pushed.msg_id IS NOT NULL AS is_pushed
  FROM sent_messages AS sent
  LEFT JOIN (
    SELECT DISTINCT app_id, msg_id
    FROM pushed_reports
    WHERE hash(msg_id) % $one_in = 0
  ) AS pushed USING (app_id, msg_id)
  WHERE
    hash(sent.msg_id) % $one_in = 0
    AND sent_at <= $now::TIMESTAMPTZ - INTERVAL 1 HOUR
    AND sent_at > $now::TIMESTAMPTZ - INTERVAL 3 DAY
),
counted AS (
  SELECT
    app_id,
    count(*) FILTER (WHERE is_pushed) / (count(*) + 10) AS complete,
    count(*) FILTER (WHERE sent_at > $now::TIMESTAMPTZ - INTERVAL 3 HOUR) AS late,
    count(*) FILTER (WHERE is_pushed AND sent_at > $now::TIMESTAMPTZ - INTERVAL 3 HOUR) AS late_pushed
  FROM looked_at
  GROUP BY app_id
),
judged AS (
  SELECT
    app_id,
    least(complete, CASE WHEN late >= 20 THEN late_pushed / late ELSE 1 END) AS complete
  FROM counted
)
SELECT
  app_id,
  CASE WHEN complete < 0.5 THEN 1 ELSE least(1 / (1 - complete), $most_stretch) END::DOUBLE AS stretch
FROM judged
