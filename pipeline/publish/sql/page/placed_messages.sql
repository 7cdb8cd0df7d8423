-- Grain: one row per message of the days on the page: its bin of days, and the places of its country, sender and app.
CREATE TEMP VIEW placed_messages AS
SELECT
  messages.*,
  page_days.bin,
  countries.place AS country_place,
  senders.place AS sender_place,
  apps.place AS app_place
FROM messages
INNER JOIN page_days USING (sent_date)
INNER JOIN page_names AS countries
  ON countries.dimension = 'country' AND messages.country IS NOT DISTINCT FROM countries.value
INNER JOIN page_names AS senders
  ON senders.dimension = 'sender_id' AND messages.sender_id IS NOT DISTINCT FROM senders.value
INNER JOIN page_names AS apps
  ON apps.dimension = 'app_id' AND messages.app_id IS NOT DISTINCT FROM apps.value;
