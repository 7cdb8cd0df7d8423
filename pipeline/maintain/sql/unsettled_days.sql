-- Grain: one row per day with a message whose state may still change: it may be asked for again, or is not unknown yet.
-- Parameters: now, give_up_seconds, memory_seconds.
SELECT DISTINCT sent_date
FROM messages
WHERE
  NOT is_final
  AND (
    delivery_status IN (/* open_statuses */)
    OR (epoch_us($now::TIMESTAMPTZ) - epoch_us(sent_at)) / 1e6
    <= CASE WHEN last_polled_at IS NULL THEN $memory_seconds ELSE $give_up_seconds END
  );
