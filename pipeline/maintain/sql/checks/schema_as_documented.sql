-- Bad rows: a column of the published file that is missing, not documented, or of another type, place or meaning than
-- documented. Types of views follow from the tables and are not compared.
WITH there AS (
  SELECT
    table_name,
    column_name,
    CASE data_type WHEN 'TIMESTAMP WITH TIME ZONE' THEN 'TIMESTAMPTZ' ELSE data_type END AS data_type,
    column_index,
    comment
  FROM duckdb_columns()
  WHERE database_name = 'published' AND NOT internal
)
SELECT
  coalesce(there.table_name, documented.table_name) AS table_name,
  coalesce(there.column_name, documented.column_name) AS column_name,
  documented.data_type AS documented_type,
  there.data_type AS type,
  CASE
    WHEN there.column_name IS NULL THEN 'missing'
    WHEN documented.column_name IS NULL THEN 'not documented'
    WHEN there.data_type <> documented.data_type THEN 'another type'
    WHEN there.column_index <> documented.place THEN 'another place'
    ELSE 'another meaning'
  END AS what
FROM there
FULL JOIN documented
  ON there.table_name = documented.table_name AND there.column_name = documented.column_name
WHERE
  there.column_name IS NULL
  OR documented.column_name IS NULL
  OR there.data_type <> coalesce(documented.data_type, there.data_type)
  OR there.column_index <> documented.place
  OR there.comment IS DISTINCT FROM documented.meaning
ORDER BY ALL;
