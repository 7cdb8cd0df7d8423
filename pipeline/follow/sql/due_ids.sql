-- Grain: one row per id that is asked for now, the most urgent first, then per id that fills the room left in a request.
-- urgency: 0 never asked, 1 due again, 2 open and not due yet.
-- Parameters: now, force, give_up_seconds, memory_seconds, min_interval_seconds, age_share.
WITH judged AS (
  SELECT
    app_id,
    msg_id,
    sent_date,
    CASE
      WHEN
        is_due(
          sent_at, last_polled_at, $now::TIMESTAMPTZ, $force,
          $give_up_seconds, $memory_seconds, $min_interval_seconds, $age_share
        )
        THEN (last_polled_at IS NOT NULL)::INTEGER
      WHEN
        may_fill(sent_at, last_polled_at, $now::TIMESTAMPTZ, $give_up_seconds, $memory_seconds, $min_interval_seconds)
        THEN 2
    END AS urgency,
    waited_seconds(sent_at, last_polled_at, $now::TIMESTAMPTZ, $min_interval_seconds, $age_share) AS waited_seconds
  FROM polled
  WHERE NOT is_final
)
SELECT
  app_id,
  msg_id,
  sent_date,
  urgency
FROM judged
WHERE urgency IS NOT NULL
ORDER BY urgency, waited_seconds DESC;
