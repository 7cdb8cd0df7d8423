-- Grain: one row per currency, bin of days and place of a label: what was paid, and what of it for messages that failed.
SELECT
  messages.currency,
  page_days.bin,
  labels.place,
  sum(messages.pay)::DOUBLE AS pay,
  coalesce(sum(messages.pay) FILTER (WHERE messages.delivery_status = 'failed'), 0)::DOUBLE AS pay_failed
FROM messages
INNER JOIN page_days USING (sent_date)
INNER JOIN page_names AS labels
  ON labels.dimension = 'label:' || $label AND messages.labels[$label] IS NOT DISTINCT FROM labels.value
WHERE messages.pay IS NOT NULL AND messages.currency IS NOT NULL
GROUP BY messages.currency, page_days.bin, labels.place;
