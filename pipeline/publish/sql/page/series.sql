-- Grain: one row per bin of days and place of a dimension, and one per bin for all messages.
SELECT
  rollups.dimension,
  coalesce(names.place, 0) AS place,
  page_days.bin,
  sum(rollups.sent)::BIGINT AS sent,
  sum(rollups.delivered)::BIGINT AS delivered,
  sum(rollups.failed)::BIGINT AS failed,
  sum(rollups.unknown)::BIGINT AS unknown,
  sum(rollups.invalid_id)::BIGINT AS invalid_id,
  sum(rollups.sending)::BIGINT AS sending,
  sum(rollups.not_found)::BIGINT AS not_found,
  sum(rollups.pending)::BIGINT AS pending
FROM delivery_rollups_daily AS rollups
INNER JOIN page_days USING (sent_date)
LEFT JOIN page_names AS names
  ON rollups.dimension = names.dimension AND rollups.value IS NOT DISTINCT FROM names.value
WHERE rollups.dimension = 'all' OR names.place IS NOT NULL
GROUP BY rollups.dimension, coalesce(names.place, 0), page_days.bin;
