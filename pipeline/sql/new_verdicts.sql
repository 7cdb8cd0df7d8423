-- At most one row: a message that silence has made unknown since its partition was derived.
-- Parameters: now, unknown_after_seconds.
SELECT msg_id
FROM messages
WHERE
  delivery_status IN ('sending', 'not_found')
  AND epoch_us($now::TIMESTAMPTZ) - epoch_us(sent_at) > $unknown_after_seconds * 1e6
LIMIT 1;
