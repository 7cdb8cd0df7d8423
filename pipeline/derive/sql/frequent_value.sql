-- An expression: a message's value of a column, if it is one of the most frequent of the day's messages, else (other).
-- Null if the message does not have it.
CASE
  WHEN /* column */ IS NULL THEN NULL
  WHEN /* column */ IN (
    SELECT /* column */ AS frequent_value
    FROM messages
    WHERE /* column */ IS NOT NULL
    GROUP BY frequent_value
    ORDER BY count(*) DESC, frequent_value
    LIMIT /* most */
  ) THEN /* column */
  ELSE '(other)'
END
