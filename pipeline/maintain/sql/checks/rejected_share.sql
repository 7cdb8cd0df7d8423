-- Bad rows: a day of which more records of the logs were set aside than $bound allows, out of all its records.
-- not_sent is left out: sendSms refused the message, which is the sender's matter and no fault of the log.
-- Fewer than $fewest are no pattern, unless nothing at all was read.
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
