-- Grain: one row per id that is asked for now, the most urgent first, then per id that fills the room left in a request.
-- urgency: 0 never asked or pushed since, 1 due again or for long without a push, 2 open and not due yet.
-- Parameters: those of the due rule.
WITH judged AS (
  SELECT
    app_id,
    msg_id,
    sent_date,
    CASE
      WHEN
        is_due(
          sent_at, last_polled_at, pushed_at, stretch, $now::TIMESTAMPTZ, $force,
          $give_up_seconds, $memory_seconds, $min_interval_seconds, $age_share, $most_delay_seconds
        )
        THEN
          CASE
            WHEN is_told(last_polled_at, pushed_at) OR (last_polled_at IS NULL AND stretch <= 1) THEN 0
            ELSE 1
          END
      WHEN
        may_fill(
          sent_at, last_polled_at, pushed_at, stretch, $now::TIMESTAMPTZ,
          $give_up_seconds, $memory_seconds, $min_interval_seconds, $age_share, $most_delay_seconds
        )
        THEN 2
    END AS urgency,
    overdue_seconds(
      sent_at, last_polled_at, pushed_at, stretch, $now::TIMESTAMPTZ,
      $min_interval_seconds, $age_share, $most_delay_seconds
    ) AS overdue_seconds
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
ORDER BY urgency, overdue_seconds DESC;
