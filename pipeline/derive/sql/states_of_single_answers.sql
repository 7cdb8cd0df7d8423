-- Grain: one row an answer, as the state of its message: right where no message has a second answer.
SELECT *
FROM answers;
