-- Grain: one row per bucket to record now: it is mature and was never recorded, or it differs from its last record.
-- A bucket that no longer exists (its messages are in another now) is recorded without messages.
-- Parameters: publication, now.
WITH recorded AS (
  SELECT *
  FROM rate_publications
  QUALIFY row_number() OVER (PARTITION BY sent_date, dimension, value ORDER BY publication DESC) = 1
),
present AS (
  SELECT *
  FROM delivery_rollups_daily
),
compared AS (
  SELECT
    coalesce(present.sent_date, recorded.sent_date) AS sent_date,
    coalesce(present.dimension, recorded.dimension) AS dimension,
    coalesce(present.value, recorded.value) AS value,
    coalesce(present.sent, 0) AS sent,
    coalesce(present.delivered, 0) AS delivered,
    coalesce(present.failed, 0) AS failed,
    coalesce(present.sending, 0) AS sending,
    coalesce(present.not_found, 0) AS not_found,
    coalesce(present.pending, 0) AS pending,
    coalesce(present.unknown, 0) AS unknown,
    coalesce(present.invalid_id, 0) AS invalid_id,
    present.delivery_rate,
    present.delivery_rate_final,
    present.dlr_coverage,
    present.latency_p50_seconds,
    present.latency_p95_seconds,
    present.latency_p99_seconds,
    coalesce(present.is_mature, true) AS is_mature,
    recorded
  FROM present
  FULL JOIN recorded
    ON
      present.sent_date = recorded.sent_date
      AND present.dimension = recorded.dimension
      AND present.value IS NOT DISTINCT FROM recorded.value
)
SELECT
  $publication::BIGINT AS publication,
  $now::TIMESTAMPTZ AS published_at,
  * EXCLUDE (recorded)
FROM compared
WHERE
  CASE
    WHEN recorded.publication IS NULL THEN is_mature
    ELSE
      sent <> recorded.sent
      OR delivered <> recorded.delivered
      OR failed <> recorded.failed
      OR sending <> recorded.sending
      OR not_found <> recorded.not_found
      OR pending <> recorded.pending
      OR unknown <> recorded.unknown
      OR invalid_id <> recorded.invalid_id
      OR is_mature <> recorded.is_mature
      -- The rates follow from the counts; latency may change alone.
      OR latency_p50_seconds IS DISTINCT FROM recorded.latency_p50_seconds
      OR latency_p95_seconds IS DISTINCT FROM recorded.latency_p95_seconds
      OR latency_p99_seconds IS DISTINCT FROM recorded.latency_p99_seconds
  END
ORDER BY sent_date, dimension, value;
