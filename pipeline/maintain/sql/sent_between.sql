-- Grain: one row: how many messages were sent after a moment and up to another.
-- Parameters: since, until.
SELECT
  count(*) AS messages
FROM sent_messages
WHERE sent_at > $since::TIMESTAMPTZ AND sent_at <= $until::TIMESTAMPTZ;
