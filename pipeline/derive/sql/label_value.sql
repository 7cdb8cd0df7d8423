-- An expression: a message's value of a label, if it is one of the most frequent of the day's messages, else (other).
-- Null if the message does not have the label.
CASE
  WHEN labels[/* name */] IS NULL THEN NULL
  WHEN labels[/* name */] IN (
    SELECT frequent.labels[/* name */] AS frequent_value
    FROM messages AS frequent
    WHERE frequent.labels[/* name */] IS NOT NULL
    GROUP BY frequent_value
    ORDER BY count(*) DESC, frequent_value
    LIMIT /* most */
  ) THEN labels[/* name */]
  ELSE '(other)'
END
