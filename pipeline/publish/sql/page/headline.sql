-- Grain: one row over the latest $days: all of them, their mature days, the mature days of the $days before those, and
-- latency on the newest mature day. Without messages, counts are 0 and the rest is null.
-- failed_share = failed / sent; rates = delivered / sent; of the days of which a message was ever asked for.
-- outstanding: messages that may still get a final answer. never_asked: of days before forgotten_before, which the platform no longer answers for.
-- Parameters: days, memory_days.
WITH memory AS (
  SELECT ((any_value(published_at) - to_days($memory_days)) AT TIME ZONE any_value(time_zone))::DATE AS day
  FROM snapshot_info
),
days AS (
  SELECT
    *,
    max(sent_date) OVER () - sent_date AS ago,
    delivery_rate IS NOT NULL AS was_asked
  FROM delivery_by_day
),
forgotten AS (
  SELECT
    coalesce(sum(pending), 0)::BIGINT AS messages
  FROM delivery_rollups_daily, memory
  WHERE dimension = 'all' AND sent_date < memory.day
),
waiting AS (
  SELECT
    count(*) AS messages,
    min(sent_at) AS oldest_sent_at
  FROM messages, memory
  WHERE NOT is_final AND delivery_status <> 'unknown' AND (delivery_status <> 'pending' OR sent_date >= memory.day)
),
newest AS (
  SELECT *
  FROM days
  WHERE is_mature
  ORDER BY sent_date DESC
  LIMIT 1
)
SELECT
  strftime(min(sent_date) FILTER (WHERE ago < $days), '%Y-%m-%d') AS first_day,
  strftime(max(sent_date), '%Y-%m-%d') AS last_day,
  coalesce(sum(sent) FILTER (WHERE ago < $days), 0)::BIGINT AS sent,
  coalesce(sum(failed) FILTER (WHERE ago < $days), 0)::BIGINT AS failed,
  sum(failed) FILTER (WHERE ago < $days) / sum(sent) FILTER (WHERE was_asked AND ago < $days) AS failed_share,
  sum(delivered) FILTER (WHERE ago < $days) / sum(sent) FILTER (WHERE was_asked AND ago < $days) AS rate_so_far,
  count(*) FILTER (WHERE ago < $days) AS days_with_messages,
  count(*) FILTER (WHERE is_mature AND ago < $days) AS mature_days,
  sum(delivered) FILTER (WHERE is_mature AND ago < $days)
    / sum(sent) FILTER (WHERE is_mature AND ago < $days) AS mature_rate,
  sum(delivered) FILTER (WHERE is_mature AND ago >= $days AND ago < 2 * $days)
    / sum(sent) FILTER (WHERE is_mature AND ago >= $days AND ago < 2 * $days) AS mature_rate_before,
  (SELECT strftime(sent_date, '%Y-%m-%d') FROM newest) AS latency_day,
  (SELECT latency_p50_seconds FROM newest) AS latency_p50_seconds,
  (SELECT latency_p95_seconds FROM newest) AS latency_p95_seconds,
  (SELECT messages FROM waiting) AS outstanding,
  (SELECT strftime(oldest_sent_at AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M UTC') FROM waiting) AS oldest_outstanding,
  (SELECT messages FROM forgotten) AS never_asked,
  (SELECT strftime(day, '%Y-%m-%d') FROM memory) AS forgotten_before
FROM days;
