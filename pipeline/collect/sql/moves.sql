-- Grain: one row per corrected message that has another app or day now: where it was, and where it is.
SELECT DISTINCT
  app_id,
  msg_id,
  sent_date,
  new_app_id,
  new_date
FROM removed
WHERE app_id <> new_app_id OR sent_date <> new_date
