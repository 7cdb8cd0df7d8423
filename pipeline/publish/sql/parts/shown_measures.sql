-- Of summed counts. delivery_rate = delivered / sent; delivery_rate_final = delivered / (delivered + failed);
-- dlr_coverage = (delivered + failed) / sent; null where the denominator is 0 or no message was ever asked for.
sent,
delivered,
failed,
sending + not_found + pending AS outstanding,
unknown,
invalid_id,
delivered / CASE WHEN pending < sent THEN sent END AS delivery_rate,
/* rate_interval */,
delivered / nullif(delivered + failed, 0) AS delivery_rate_final,
(delivered + failed) / CASE WHEN pending < sent THEN sent END AS dlr_coverage,
is_mature
