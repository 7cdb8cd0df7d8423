-- What is known of sent logs while they are read; made anew for each group of logs.
-- Grain of staged_keys: one row a message; its key stands for app_id and msg_id, two messages seldom share one.
CREATE OR REPLACE TEMP TABLE staged_keys (key UBIGINT);
CREATE OR REPLACE TABLE staged_rejects (
  file VARCHAR,
  line BIGINT,
  item BIGINT,
  reason VARCHAR,
  raw VARCHAR,
  file_date DATE
);
