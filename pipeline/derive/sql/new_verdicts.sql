-- At most one row: a message that silence has made unknown since its partition was derived.
-- The bound is one on sent_at itself, so that Parquet's statistics say of a young day that it has none, unread.
-- Parameters: now, unknown_after_seconds.
SELECT msg_id
FROM messages
WHERE
  delivery_status IN ('sending', 'not_found')
  AND sent_at < $now::TIMESTAMPTZ - to_microseconds(floor($unknown_after_seconds * 1e6)::BIGINT)
LIMIT 1;
