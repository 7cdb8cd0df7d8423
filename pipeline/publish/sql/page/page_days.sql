-- Grain: one row per day on the page: the bin of days in which it is counted.
CREATE TEMP TABLE page_days AS
SELECT
  unnest($days::DATE[]) AS sent_date,
  unnest($bins::INTEGER[]) AS bin;
