-- Grain: one row per measure of a bucket that changed between two of its recorded publications.
-- Values are compared as DOUBLE; is_mature is 1 or 0.
WITH recorded AS (
  SELECT
    publication,
    published_at,
    sent_date,
    dimension,
    value,
    unnest([
      {'measure': 'sent', 'value': sent::DOUBLE},
      {'measure': 'delivered', 'value': delivered::DOUBLE},
      {'measure': 'failed', 'value': failed::DOUBLE},
      {'measure': 'sending', 'value': sending::DOUBLE},
      {'measure': 'not_found', 'value': not_found::DOUBLE},
      {'measure': 'pending', 'value': pending::DOUBLE},
      {'measure': 'unknown', 'value': unknown::DOUBLE},
      {'measure': 'invalid_id', 'value': invalid_id::DOUBLE},
      {'measure': 'delivery_rate', 'value': delivery_rate},
      {'measure': 'delivery_rate_final', 'value': delivery_rate_final},
      {'measure': 'dlr_coverage', 'value': dlr_coverage},
      {'measure': 'latency_p50_seconds', 'value': latency_p50_seconds},
      {'measure': 'latency_p95_seconds', 'value': latency_p95_seconds},
      {'measure': 'latency_p99_seconds', 'value': latency_p99_seconds},
      {'measure': 'is_mature', 'value': is_mature::INTEGER::DOUBLE}
    ]) AS measured
  FROM rate_publications
),
compared AS (
  SELECT
    *,
    lag(measured.value) OVER earlier AS from_value,
    row_number() OVER earlier AS record
  FROM recorded
  WINDOW earlier AS (PARTITION BY sent_date, dimension, value, measured.measure ORDER BY publication)
)
SELECT
  published_at AS revised_at,
  sent_date,
  dimension,
  value,
  measured.measure AS measure,
  from_value,
  measured.value AS to_value
FROM compared
WHERE record > 1 AND from_value IS DISTINCT FROM measured.value
ORDER BY publication DESC, sent_date DESC, dimension, value, measure;
