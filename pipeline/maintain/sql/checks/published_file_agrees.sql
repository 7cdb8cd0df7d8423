-- Bad rows: a table whose published version is newer than the lake's (an older lake was restored), or whose rows differ
-- at the same version; a day for which the file counts other messages than the lake. If another run has changed the
-- lake since the publication, that is no difference.
-- Days are counted by the smallest column without nulls: counting ids would read ten times as many bytes.
-- lake_tables.rows is null where the published view drops duplicates.
WITH both_sides AS (
  SELECT
    table_name,
    info.lake_version AS published_version,
    lake.version AS lake_version,
    info.rows AS published_rows,
    lake.rows AS lake_rows
  FROM published.snapshot_info AS info
  FULL JOIN lake_tables AS lake USING (table_name)
),
counted AS (
  SELECT
    days.sent_date,
    days.rows AS lake_rows,
    count(messages.is_final) AS published_rows
  FROM lake_days AS days
  LEFT JOIN published_messages AS messages USING (sent_date)
  GROUP BY ALL
)
SELECT *
FROM both_sides
WHERE
  published_version IS NULL
  OR lake_version IS NULL
  OR published_version > lake_version
  OR (published_version = lake_version AND published_rows <> lake_rows)
UNION ALL
SELECT
  'messages of ' || counted.sent_date::VARCHAR,
  both_sides.published_version,
  both_sides.lake_version,
  counted.published_rows,
  counted.lake_rows
FROM counted
JOIN both_sides ON both_sides.table_name = 'messages' AND both_sides.published_version = both_sides.lake_version
WHERE counted.published_rows <> counted.lake_rows
ORDER BY ALL;
