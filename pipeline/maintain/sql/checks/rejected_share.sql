-- Bad rows: a day of which a larger share of log records than $bound was rejected. share = rejected / (rejected +
-- stored).
-- not_sent is left out: there sendSms refused the message, and the log is right.
-- Fewer than $fewest rejects count only where nothing was stored.
-- Parameters: bound, fewest.
WITH rejects AS (
  SELECT
    sent_date,
    count(DISTINCT (file, line, item)) AS rejected,
    mode(split_part(reason, ':', 1)) AS most_often
  FROM rejected_records
  WHERE source = 'sent_log' AND split_part(reason, ':', 1) <> 'not_sent'
  GROUP BY sent_date
),
stored AS (
  SELECT
    sent_date,
    count(*) AS stored
  FROM sent_messages
  GROUP BY sent_date
)
SELECT
  coalesce(rejects.sent_date::VARCHAR, 'no date') AS file_date,
  rejects.rejected,
  coalesce(stored.stored, 0) AS stored,
  rejects.rejected / (rejects.rejected + coalesce(stored.stored, 0)) AS share,
  rejects.most_often
FROM rejects
LEFT JOIN stored USING (sent_date)
WHERE share > $bound AND (rejects.rejected >= $fewest OR coalesce(stored.stored, 0) = 0)
ORDER BY share DESC;
