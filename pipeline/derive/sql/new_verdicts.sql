-- At most one row: a message that silence has made unknown since its partition was derived, or that a clock which was
-- ahead then made unknown too early.
-- The bound is on sent_at itself, so that Parquet's statistics rule out a young day without reading it.
-- Parameters: now, unknown_after_seconds.
(
  SELECT msg_id
  FROM messages
  WHERE
    delivery_status IN (/* open_statuses */)
    AND sent_at < $now::TIMESTAMPTZ - to_microseconds(floor($unknown_after_seconds * 1e6)::BIGINT)
  LIMIT 1
)
UNION ALL
(
  SELECT msg_id
  FROM messages
  WHERE
    delivery_status = 'unknown'
    AND sent_at >= $now::TIMESTAMPTZ - to_microseconds(floor($unknown_after_seconds * 1e6)::BIGINT)
  LIMIT 1
);
