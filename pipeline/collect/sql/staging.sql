-- Grain: one row a record that was set aside while sent logs were read; made anew for each group of logs.
CREATE OR REPLACE TABLE staged_rejects (
  file VARCHAR,
  line BIGINT,
  item BIGINT,
  reason VARCHAR,
  raw VARCHAR,
  sent_date DATE
);
