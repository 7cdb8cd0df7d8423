-- An expression: a message's value of a column, if it is one of the most frequent of its day's messages, else (other).
-- Null if the message does not have it.
CASE
  WHEN /* column */ IS NULL THEN NULL
  WHEN (sent_date, /* column */) IN (
    SELECT (sent_date, /* column */)
    FROM messages
    WHERE /* column */ IS NOT NULL
    GROUP BY sent_date, /* column */
    QUALIFY row_number() OVER (PARTITION BY sent_date ORDER BY count(*) DESC, /* column */) <= /* most */
  ) THEN /* column */
  ELSE '(other)'
END
