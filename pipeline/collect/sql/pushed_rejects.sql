-- Grain: one row per rejected line of a file of pushed reports. Parameter: file, its name.
SELECT
  line
FROM rejected_records
WHERE source = 'push' AND file = $file;
