-- The due rule as macros, created on each connection that asks who is due.
-- Of a message: when it was sent, last answered (null: never) and last pushed (null: never); `stretch` is how many times
-- as long as usual a message of its app waits while nothing is pushed for it (1: no longer).
-- is_ahead: an instant is so far ahead of a moment that a wrong clock stored it, and nobody knows when it was.
CREATE OR REPLACE TEMP MACRO is_ahead(instant, moment) AS
  epoch_us(instant) > epoch_us(moment) + /* tolerance_us */;

-- is_told: a report was pushed since the last answer: there is something to learn.
CREATE OR REPLACE TEMP MACRO is_told(last_polled_at, pushed_at) AS
  pushed_at IS NOT NULL AND coalesce(pushed_at > last_polled_at, true);

-- wait_seconds: how long a message waits for its next question, from its last answer, or from its sending.
-- Never answered: no time, for a stretched one one minimum interval less than the stretch. Answered: a share of the age
-- that it had, stretched. No stretch makes it wait more than most_delay_seconds longer.
CREATE OR REPLACE TEMP MACRO wait_seconds(
  sent_at, last_polled_at, pushed_at, stretch, min_interval_seconds, age_share, most_delay_seconds
) AS
  CASE
    WHEN last_polled_at IS NULL AND pushed_at IS NOT NULL THEN 0
    WHEN last_polled_at IS NULL THEN least((stretch - 1) * min_interval_seconds, most_delay_seconds)
    WHEN is_told(last_polled_at, pushed_at) THEN min_interval_seconds
    ELSE
      greatest(min_interval_seconds, (epoch_us(last_polled_at) - epoch_us(sent_at)) / 1e6 * age_share)
      + CASE
        WHEN pushed_at IS NULL AND stretch > 1
          THEN
            least(
              (stretch - 1)
              * greatest(min_interval_seconds, (epoch_us(last_polled_at) - epoch_us(sent_at)) / 1e6 * age_share),
              most_delay_seconds
            )
        ELSE 0
      END
  END;

-- overdue_seconds: for how long a message has been due; negative before. 0 if its answer is ahead.
CREATE OR REPLACE TEMP MACRO overdue_seconds(
  sent_at, last_polled_at, pushed_at, stretch, moment, min_interval_seconds, age_share, most_delay_seconds
) AS
  CASE
    WHEN is_ahead(last_polled_at, moment) THEN 0
    ELSE
      (epoch_us(moment) - epoch_us(coalesce(last_polled_at, sent_at))) / 1e6
      - wait_seconds(
        sent_at, last_polled_at, pushed_at, stretch, min_interval_seconds, age_share, most_delay_seconds
      )
  END;

-- is_due: a message that is not final is asked for at this moment; `forced` leaves the age limits alone. One that waits
-- for nothing is due even if it was sent ahead of the moment.
CREATE OR REPLACE TEMP MACRO is_due(
  sent_at, last_polled_at, pushed_at, stretch, moment, forced,
  give_up_seconds, memory_seconds, min_interval_seconds, age_share, most_delay_seconds
) AS
  (epoch_us(moment) - epoch_us(sent_at)) / 1e6
  <= CASE WHEN last_polled_at IS NULL THEN memory_seconds ELSE least(give_up_seconds, memory_seconds) END
  AND (
    forced
    OR (last_polled_at IS NULL AND (stretch <= 1 OR pushed_at IS NOT NULL))
    OR overdue_seconds(
      sent_at, last_polled_at, pushed_at, stretch, moment, min_interval_seconds, age_share, most_delay_seconds
    )
    >= 0
  );

-- may_fill: a message that is not due may be asked for in the room that is left in a request; one that would wait longer
-- since nothing was pushed for it, only once three quarters of its wait are over: there is hardly anything to learn.
CREATE OR REPLACE TEMP MACRO may_fill(
  sent_at, last_polled_at, pushed_at, stretch, moment,
  give_up_seconds, memory_seconds, min_interval_seconds, age_share, most_delay_seconds
) AS
  (epoch_us(moment) - epoch_us(sent_at)) / 1e6 <= least(give_up_seconds, memory_seconds)
  AND (epoch_us(moment) - epoch_us(coalesce(last_polled_at, sent_at))) / 1e6
  >= greatest(
    min_interval_seconds,
    CASE
      WHEN pushed_at IS NULL AND stretch > 1
        THEN
          0.75
          * wait_seconds(
            sent_at, last_polled_at, pushed_at, stretch, min_interval_seconds, age_share, most_delay_seconds
          )
      ELSE 0
    END
  );
