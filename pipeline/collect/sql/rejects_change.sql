-- One row: rejects that were there and are gone (a line was fixed), and rejects that are new.
SELECT
  (SELECT count(*) FROM (SELECT DISTINCT source, file, line, item, reason FROM rejected_records))
  - (SELECT count(*) FROM (SELECT DISTINCT source, file, line, item, reason FROM rejects_now WHERE NOT is_new)) AS fixed,
  (SELECT count(*) FROM rejects_now WHERE is_new) AS new;
