-- Grain: one row: messages that may still get a final answer and the oldest of them; and those never asked for, of days
-- before forgotten_before, which the platform no longer answers for.
-- Parameter: memory_days.
WITH memory AS (
  SELECT ((any_value(published_at) - to_days($memory_days)) AT TIME ZONE any_value(time_zone))::DATE AS day
  FROM snapshot_info
),
waiting AS (
  SELECT
    count(*) AS messages,
    min(sent_at) AS oldest_sent_at
  FROM messages, memory
  WHERE NOT is_final AND delivery_status <> 'unknown' AND (delivery_status <> 'pending' OR sent_date >= memory.day)
)
SELECT
  waiting.messages AS outstanding,
  strftime(waiting.oldest_sent_at AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M UTC') AS oldest_outstanding,
  strftime(memory.day, '%Y-%m-%d') AS forgotten_before,
  (
    SELECT coalesce(sum(pending), 0)::BIGINT
    FROM delivery_rollups_daily
    WHERE dimension = 'all' AND sent_date < memory.day
  ) AS never_asked
FROM waiting, memory;
