-- Grain: one row per app and day that was read: when, whether all of its messages were old enough then, and whether the
-- platform gave all that it counts.
SELECT
  app_id,
  sent_date,
  read_at,
  ends_at <= settled_before AS is_settled,
  coalesce(missing, 0) = 0 AS is_whole
FROM record_reads;
