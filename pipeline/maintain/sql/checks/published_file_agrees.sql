-- Bad rows: a table of which the published file and the lake differ: the file's version is beyond the lake's (an older
-- lake was put back), or the versions are one and the rows are not; or a day whose messages the file can't count as the
-- lake does. A lake that another run has taken further since the publication is no difference.
-- What is counted is the smallest column without nulls: its pages are read, whole ids would take ten times as long.
-- rows of lake_tables is null where a table is made unique on its way into the file.
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
  LEFT JOIN published.messages AS messages USING (sent_date)
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
