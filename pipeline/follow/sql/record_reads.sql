-- Grain: one row per app and day that was read: when, and whether all of its messages were old enough then.
SELECT
  app_id,
  sent_date,
  read_at,
  ends_at <= settled_before AS is_settled
FROM record_reads;
