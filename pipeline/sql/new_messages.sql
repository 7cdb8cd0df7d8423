-- Grain: one row a message that was read now and is not in the lake: of several records the earliest by sent_at.
CREATE OR REPLACE TEMP TABLE new_messages AS
WITH first_records AS (
  SELECT
    app_id,
    msg_id,
    arg_min(staged, {'sent_at': sent_at, 'file': file, 'line': line, 'item': item}) AS record
  FROM staged
  GROUP BY app_id, msg_id
)
SELECT unnest(first_records.record)
FROM first_records
ANTI JOIN sent_messages USING (app_id, msg_id)
ORDER BY record.sent_at, record.file, record.line, record.item;
