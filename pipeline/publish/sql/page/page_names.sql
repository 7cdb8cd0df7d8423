-- Grain: one row per app, country, sender, label, network and reason of failure of the days on the page, with its place:
-- most messages first, of reasons most failures. A message without a network or reason has no row.
-- Places end at the limit of the dimension; all further names share it.
CREATE TEMP TABLE page_names AS
SELECT
  rollups.dimension,
  rollups.value,
  least(
    row_number() OVER (PARTITION BY rollups.dimension ORDER BY sum(rollups.sent) DESC, rollups.value) - 1,
    CASE rollups.dimension
      WHEN 'country' THEN $countries::INTEGER
      WHEN 'sender_id' THEN $senders::INTEGER
      ELSE $others::INTEGER
    END
  )::INTEGER AS place
FROM delivery_rollups_daily AS rollups
INNER JOIN page_days USING (sent_date)
WHERE rollups.dimension <> 'all' AND NOT (rollups.dimension IN ('network', 'failure_reason') AND rollups.value IS NULL)
GROUP BY rollups.dimension, rollups.value;
