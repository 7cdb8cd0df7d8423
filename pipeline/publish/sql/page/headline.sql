-- Grain: one row over the latest $days: all of them, their mature days, the mature days of the $days before those, and
-- latency on the newest mature day. Without messages, counts are 0 and the rest is null.
-- failed_share = failed / sent; rates = delivered / sent.
WITH days AS (
  SELECT
    *,
    max(sent_date) OVER () - sent_date AS ago
  FROM delivery_by_day
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
  sum(failed) FILTER (WHERE ago < $days) / sum(sent) FILTER (WHERE ago < $days) AS failed_share,
  sum(delivered) FILTER (WHERE ago < $days) / sum(sent) FILTER (WHERE ago < $days) AS rate_so_far,
  count(*) FILTER (WHERE ago < $days) AS days_with_messages,
  count(*) FILTER (WHERE is_mature AND ago < $days) AS mature_days,
  sum(delivered) FILTER (WHERE is_mature AND ago < $days)
    / sum(sent) FILTER (WHERE is_mature AND ago < $days) AS mature_rate,
  sum(delivered) FILTER (WHERE is_mature AND ago >= $days AND ago < 2 * $days)
    / sum(sent) FILTER (WHERE is_mature AND ago >= $days AND ago < 2 * $days) AS mature_rate_before,
  (SELECT strftime(sent_date, '%Y-%m-%d') FROM newest) AS latency_day,
  (SELECT latency_p50_seconds FROM newest) AS latency_p50_seconds,
  (SELECT latency_p95_seconds FROM newest) AS latency_p95_seconds
FROM days;
