-- Grain: one row per message of the days on the page, with its place in a further dimension: a label, the network or
-- the reason of failure. Null where it has none.
CREATE TEMP MACRO placed_by(asked) AS TABLE
SELECT
  placed_messages.*,
  names.place
FROM placed_messages
LEFT JOIN page_names AS names
  ON names.dimension = asked
  AND names.value IS NOT DISTINCT FROM CASE asked
    WHEN 'network' THEN placed_messages.network
    WHEN 'failure_reason' THEN placed_messages.failure_reason
    ELSE placed_messages.labels[substr(asked, length('label:') + 1)]
  END;
