-- Grain: one row per app and day of which the platform's record was read.
-- unlogged_share = unlogged / recorded; unrecorded_share = unrecorded / logged.
WITH logged AS (
  SELECT app_id, sent_date, count(*) AS messages
  FROM messages
  GROUP BY ALL
),
unlogged AS (
  SELECT app_id, sent_date, count(*) AS messages
  FROM unlogged_messages
  GROUP BY ALL
),
unrecorded AS (
  SELECT app_id, sent_date, count(*) AS messages
  FROM unrecorded_messages
  GROUP BY ALL
),
differing AS (
  SELECT app_id, sent_date, count(*) AS messages
  FROM record_differences
  GROUP BY ALL
)
SELECT
  reads.sent_date,
  reads.app_id,
  reads.recorded,
  coalesce(logged.messages, 0) AS logged,
  coalesce(unlogged.messages, 0) AS unlogged,
  coalesce(unrecorded.messages, 0) AS unrecorded,
  coalesce(differing.messages, 0) AS differing,
  reads.missing,
  coalesce(unlogged.messages, 0) / nullif(reads.recorded, 0) AS unlogged_share,
  coalesce(unrecorded.messages, 0) / nullif(logged.messages, 0) AS unrecorded_share,
  reads.ends_at <= reads.settled_before AS is_settled,
  reads.read_at
FROM record_reads AS reads
LEFT JOIN logged USING (app_id, sent_date)
LEFT JOIN unlogged USING (app_id, sent_date)
LEFT JOIN unrecorded USING (app_id, sent_date)
LEFT JOIN differing USING (app_id, sent_date)
ORDER BY reads.sent_date DESC, reads.app_id;
