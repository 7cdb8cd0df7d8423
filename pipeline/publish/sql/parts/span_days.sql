-- The days of each span, which ends with the latest day of sending.
span_days AS (
  SELECT
    spans.days,
    sent.sent_date
  FROM
    (SELECT unnest([1, 7, 28, NULL])::INTEGER AS days) AS spans,
    (SELECT sent_date, max(sent_date) OVER () AS latest FROM delivery_rollups_daily WHERE dimension = 'all') AS sent
  WHERE spans.days IS NULL OR sent.sent_date > sent.latest - spans.days
)
