-- Grain: one row per app that the sent logs name.
SELECT DISTINCT
  app_id
FROM sent_messages;
