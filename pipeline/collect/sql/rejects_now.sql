-- Grain: one row per reject in the partition $day (a file's date), as it should read after this reading:
-- what was there from other files and other sources, and what this reading found in its files.
-- Parameters: day, now.
CREATE OR REPLACE TEMP TABLE rejects_now AS
WITH found AS (
  SELECT DISTINCT ON (file, line, item)
    'sent_log' AS source,
    file,
    line,
    item,
    reason,
    raw,
    sent_date
  FROM staged_rejects
  WHERE sent_date IS NOT DISTINCT FROM $day::DATE
  ORDER BY file, line, item, reason
),
known AS (
  SELECT DISTINCT ON (source, file, line, item) *
  FROM rejected_records
  WHERE source <> 'sent_log' OR file NOT IN (SELECT file FROM former_logs)
  ORDER BY source, file, line, item, rejected_at
)
SELECT
  found.* EXCLUDE (raw),
  -- What is known stays as it is: a number may have been erased from it since.
  CASE WHEN known.file IS NULL THEN found.raw ELSE known.raw END AS raw,
  coalesce(known.rejected_at, $now::TIMESTAMPTZ) AS rejected_at,
  known.file IS NULL AS is_new
FROM found
LEFT JOIN known
  ON
    known.source = found.source
    AND known.file = found.file
    AND known.line IS NOT DISTINCT FROM found.line
    AND known.item IS NOT DISTINCT FROM found.item
    AND known.reason = found.reason
-- Of a file that was not read to its end the rows that were there stay as they are, below.
WHERE known.file IS NULL OR found.file IN (SELECT file FROM files_read)
UNION ALL BY NAME
SELECT
  rejected_records.*,
  false AS is_new
FROM rejected_records
WHERE source <> 'sent_log' OR file NOT IN (SELECT file FROM files_read)
UNION ALL BY NAME
-- Of a log that was replaced by another of its name: as rows that are new, so that the old ones go.
SELECT
  rejected_records.* REPLACE (former_logs.kept_as AS file),
  true AS is_new
FROM rejected_records
JOIN former_logs USING (file)
WHERE rejected_records.source = 'sent_log';
