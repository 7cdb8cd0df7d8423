-- The due rule as macros, created on each connection that asks who is due.
-- is_ahead: an instant is so far ahead of a moment that a wrong clock stored it, and nobody knows when it was.
CREATE OR REPLACE TEMP MACRO is_ahead(instant, moment) AS
  epoch_us(instant) > epoch_us(moment) + /* tolerance_us */;

-- overdue_seconds: for how long an answered message has been due again; negative before. 0 if its answer is ahead.
CREATE OR REPLACE TEMP MACRO overdue_seconds(sent_at, last_polled_at, moment, min_interval_seconds, age_share) AS
  CASE
    WHEN is_ahead(last_polled_at, moment) THEN 0
    ELSE
      (epoch_us(moment) - epoch_us(last_polled_at)) / 1e6
      - greatest(min_interval_seconds, (epoch_us(last_polled_at) - epoch_us(sent_at)) / 1e6 * age_share)
  END;

-- is_due: a message that is not final is asked for at this moment; `forced` leaves the age limits alone.
CREATE OR REPLACE TEMP MACRO is_due(
  sent_at, last_polled_at, moment, forced, give_up_seconds, memory_seconds, min_interval_seconds, age_share
) AS
  (epoch_us(moment) - epoch_us(sent_at)) / 1e6 <= memory_seconds
  AND (
    last_polled_at IS NULL
    OR (
      (epoch_us(moment) - epoch_us(sent_at)) / 1e6 <= give_up_seconds
      AND (forced OR overdue_seconds(sent_at, last_polled_at, moment, min_interval_seconds, age_share) >= 0)
    )
  );

-- may_fill: a message that is not due may be asked for in the room that is left in a request.
CREATE OR REPLACE TEMP MACRO may_fill(
  sent_at, last_polled_at, moment, give_up_seconds, memory_seconds, min_interval_seconds
) AS
  (epoch_us(moment) - epoch_us(sent_at)) / 1e6 <= least(give_up_seconds, memory_seconds)
  AND (epoch_us(moment) - epoch_us(last_polled_at)) / 1e6 >= min_interval_seconds;

-- waited_seconds: how long a message has waited to be asked for, since it was sent or was due again; negative before.
CREATE OR REPLACE TEMP MACRO waited_seconds(sent_at, last_polled_at, moment, min_interval_seconds, age_share) AS
  coalesce(
    overdue_seconds(sent_at, last_polled_at, moment, min_interval_seconds, age_share),
    (epoch_us(moment) - epoch_us(sent_at)) / 1e6
  );
