-- Tables into which sent logs are read before they are stored; made anew for each group of logs.
CREATE OR REPLACE TABLE staged (
  app_id VARCHAR,
  msg_id VARCHAR,
  number VARCHAR,
  country VARCHAR,
  sender_id VARCHAR,
  order_id VARCHAR,
  sent_at TIMESTAMPTZ,
  sent_date DATE,
  file VARCHAR,
  line BIGINT,
  item BIGINT
);
CREATE OR REPLACE TABLE staged_rejects (
  file VARCHAR,
  line BIGINT,
  item BIGINT,
  reason VARCHAR,
  raw VARCHAR,
  file_date DATE
);
