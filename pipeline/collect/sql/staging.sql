-- Grain: one row per record that was rejected while sent logs were read; made anew for each group of logs.
CREATE OR REPLACE TABLE staged_rejects (
  file VARCHAR,
  line BIGINT,
  item BIGINT,
  reason VARCHAR,
  raw VARCHAR,
  sent_date DATE
);
