-- One row: whether messages has the ids of sent_messages, each once. Not proven is not refuted: ids of which no two
-- share a hash are different, ids that share one need not be the same.
WITH sent AS (
  SELECT
    count(*) AS messages,
    sum(hash(app_id, msg_id)::HUGEINT) AS fingerprint
  FROM sent_messages
),
derived AS (
  SELECT
    count(*) AS messages,
    count(DISTINCT hash(app_id, msg_id)) AS ids,
    sum(hash(app_id, msg_id)::HUGEINT) AS fingerprint
  FROM messages
)
SELECT
  sent.messages = derived.messages
  AND derived.messages = derived.ids
  AND sent.fingerprint IS NOT DISTINCT FROM derived.fingerprint
FROM sent, derived;
