-- Grain: one row per entry of an attached database that is more than rows: what could run, or hide a built-in function.
-- $views are the names that may be views.
SELECT 'table ' || table_name AS entry
FROM duckdb_tables()
WHERE
  database_name = $database
  AND (regexp_matches(sql, '\b(GENERATED|DEFAULT|CHECK|KEY|UNIQUE|REFERENCES)\b') OR sql IS NULL OR schema_name <> 'main')
UNION ALL
SELECT 'view ' || view_name FROM duckdb_views() WHERE database_name = $database AND NOT internal AND NOT list_contains($views, view_name)
UNION ALL
SELECT 'schema ' || schema_name FROM duckdb_schemas() WHERE database_name = $database AND NOT internal
UNION ALL
SELECT 'function ' || function_name FROM duckdb_functions() WHERE database_name = $database AND NOT internal
UNION ALL
SELECT 'type ' || type_name FROM duckdb_types() WHERE database_name = $database AND NOT internal
UNION ALL
SELECT 'sequence ' || sequence_name FROM duckdb_sequences() WHERE database_name = $database
UNION ALL
SELECT 'index ' || index_name FROM duckdb_indexes() WHERE database_name = $database
UNION ALL
SELECT 'trigger ' || trigger_name FROM duckdb_triggers() WHERE database_name = $database
ORDER BY ALL;
