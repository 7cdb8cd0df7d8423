-- Grain: one row per currency, bin of days and place of a further dimension: what was paid, and what of it for messages
-- that failed.
SELECT
  currency,
  bin,
  place,
  sum(pay)::DOUBLE AS pay,
  coalesce(sum(pay) FILTER (WHERE delivery_status = 'failed'), 0)::DOUBLE AS pay_failed
FROM placed_by($dimension)
WHERE pay IS NOT NULL AND currency IS NOT NULL AND place IS NOT NULL
GROUP BY currency, bin, place;
