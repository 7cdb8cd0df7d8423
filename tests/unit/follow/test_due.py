"""When an id is due: the rule's properties, its cost, and that the query says the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.follow.due import AGE_SHARE, MIN_INTERVAL, MOST_DELAY, MOST_STRETCH, use_due_rule
from pipeline.lake.queries import query
from pipeline.model.settings import API_MEMORY
from tests.oracle.due import is_due, next_due_at

SENT_AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
MICROSECOND = timedelta(microseconds=1)

ages = st.timedeltas(timedelta(0), timedelta(days=100))
give_ups = st.timedeltas(timedelta(hours=1), timedelta(days=90))


@given(ages, ages)
def test_a_message_waits_half_its_age_but_never_less_than_a_minute(age: timedelta, later: timedelta) -> None:
    first, second = sorted((SENT_AT + age, SENT_AT + later))
    waits = [next_due_at(sent_at=SENT_AT, last_answer_at=at) - at for at in (first, second)]

    assert waits[0] >= MIN_INTERVAL
    assert waits[0] <= waits[1]
    assert waits[0] == max(MIN_INTERVAL, (first - SENT_AT) / 2)


@given(ages)
def test_a_message_never_asked_is_due_until_the_platform_has_forgotten_it(age: timedelta) -> None:
    due = is_due(now=SENT_AT + age, sent_at=SENT_AT, last_answer_at=None, give_up_after=timedelta(hours=1))

    assert due is (age <= API_MEMORY)


@given(ages, ages, give_ups)
def test_an_answered_message_is_due_from_its_moment_until_it_is_given_up(
    answered: timedelta, waited: timedelta, give_up_after: timedelta
) -> None:
    last, now = SENT_AT + answered, SENT_AT + answered + waited
    due = is_due(now=now, sent_at=SENT_AT, last_answer_at=last, give_up_after=give_up_after)

    assert due is (answered + waited <= give_up_after and now >= next_due_at(sent_at=SENT_AT, last_answer_at=last))


@given(ages, ages, give_ups)
def test_force_asks_early_but_never_beyond_the_age_limits(
    answered: timedelta, waited: timedelta, give_up_after: timedelta
) -> None:
    now = SENT_AT + answered + waited
    last = SENT_AT + answered

    assert is_due(now=now, sent_at=SENT_AT, last_answer_at=last, give_up_after=give_up_after, force=True) is (
        answered + waited <= give_up_after
    )
    assert is_due(now=now, sent_at=SENT_AT, last_answer_at=None, give_up_after=give_up_after, force=True) is (
        answered + waited <= API_MEMORY
    )


def test_a_minute_is_the_shortest_wait_to_the_microsecond() -> None:
    last = SENT_AT + timedelta(seconds=10)
    at = last + MIN_INTERVAL

    assert is_due(now=at, sent_at=SENT_AT, last_answer_at=last, give_up_after=WEEK)
    assert not is_due(now=at - MICROSECOND, sent_at=SENT_AT, last_answer_at=last, give_up_after=WEEK)


def questions(every: timedelta, *, first: timedelta) -> int:
    """Count the questions for a message that is never answered finally, looked at in steps of `every`."""
    now, last, asked = SENT_AT + first, None, 0
    while now <= SENT_AT + API_MEMORY:
        if is_due(now=now, sent_at=SENT_AT, last_answer_at=last, give_up_after=WEEK):
            last, asked = now, asked + 1
        now += every
    return asked


def test_a_message_without_a_final_answer_costs_eighteen_calls() -> None:
    """The figure of the module's docstring: first asked at ten minutes, given up after seven days."""
    now, asked = SENT_AT + timedelta(minutes=10), 0
    while now <= SENT_AT + WEEK:
        asked += 1
        now = next_due_at(sent_at=SENT_AT, last_answer_at=now)

    assert asked == 18


def test_a_schedule_of_15_minutes_asks_no_more_often_than_that() -> None:
    assert questions(timedelta(minutes=15), first=timedelta(minutes=10)) <= 18


cases = st.tuples(
    st.integers(0, 92 * 86_400),  # age at the answer, in seconds
    st.none() | st.integers(0, 92 * 86_400),  # since the answer; None: never asked
    st.sampled_from(["delivered", "failed", "invalid_id", "sending", "not_found"]),
)
near_boundaries = st.integers(0, 40 * 86_400).flatmap(
    lambda age: st.tuples(
        st.just(age), st.integers(-2, 2).map(lambda off: max(0, max(60, age // 2) + off)), st.just("sending")
    )
)


DATABASE = duckdb.connect()
"""Opened once, for that takes longer than all the rest; temporary tables are each cursor's own."""


def due_by_query(
    rows: list[tuple[int, int | None, str]], *, now: datetime, give_up_after: timedelta, force: bool
) -> set[str]:
    sent: list[tuple[str, datetime]] = []
    reports: list[tuple[str, str, datetime]] = []
    for number, (age, waited, status) in enumerate(rows):
        answered_at = now - timedelta(seconds=waited or 0)
        sent_at = answered_at - timedelta(seconds=age)
        sent.append((str(number), sent_at))
        if waited is not None:
            # An older answer, which must not count, comes after the latest one.
            reports += [(str(number), status, answered_at), (str(number), "not_found", sent_at)]
    with DATABASE.cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            "CREATE TEMP TABLE sent_messages (app_id VARCHAR, msg_id VARCHAR, sent_at TIMESTAMPTZ, sent_date DATE)"
        )
        connection.execute(
            "CREATE TEMP TABLE delivery_reports "
            "(app_id VARCHAR, msg_id VARCHAR, status VARCHAR, observed_at TIMESTAMPTZ, sent_date DATE)"
        )
        connection.execute(
            "INSERT INTO sent_messages SELECT 'a', unnest(?::VARCHAR[]), unnest(?::TIMESTAMPTZ[]), '2026-03-02'",
            [list(column) for column in zip(*sent, strict=True)],
        )
        if reports:
            connection.execute(
                "INSERT INTO delivery_reports "
                "SELECT 'a', unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::TIMESTAMPTZ[]), '2026-03-02'",
                [list(column) for column in zip(*reports, strict=True)],
            )
        parameters = {
            "now": now,
            "force": force,
            "give_up_seconds": give_up_after.total_seconds(),
            "memory_seconds": API_MEMORY.total_seconds(),
            "min_interval_seconds": MIN_INTERVAL.total_seconds(),
            "age_share": AGE_SHARE,
            "most_delay_seconds": MOST_DELAY.total_seconds(),
        }
        use_due_rule(connection)
        unpushed = "SELECT *, NULL::TIMESTAMPTZ AS pushed_at, 1 AS stretch"
        connection.execute(f"CREATE TEMP VIEW polled AS {unpushed} FROM ({query('follow/sql/polled')})")
        found = connection.execute(query("follow/sql/due_ids"), parameters).fetchall()
    assert len(found) == len(set(found))
    return {msg_id for _, msg_id, _, urgency in found if urgency < 2}


def due_by_rule(
    rows: list[tuple[int, int | None, str]], *, now: datetime, give_up_after: timedelta, force: bool
) -> set[str]:
    due = set()
    for number, (age, waited, status) in enumerate(rows):
        last = None if waited is None else now - timedelta(seconds=waited)
        sent_at = (last or now) - timedelta(seconds=age)
        is_final = last is not None and status in {"delivered", "failed", "invalid_id"}
        if not is_final and is_due(
            now=now, sent_at=sent_at, last_answer_at=last, give_up_after=give_up_after, force=force
        ):
            due.add(str(number))
    return due


HOUR, DAYS_90 = 3_600, 90 * 86_400
EDGES = [
    (age, waited, status)
    for status in ("sending", "delivered")
    for age, waited in [
        *((edge - 2 * HOUR + off, 2 * HOUR) for edge in (10 * HOUR, DAYS_90) for off in (-1, 0, 1)),
        *((age, max(60, age // 2) + off) for age in (0, 120, 121, 3 * HOUR) for off in (-1, 0, 1)),
        *((DAYS_90 + off, None) for off in (-1, 0, 1)),
    ]
]
"""Messages a second this side and that of each limit, where ten hours are the age to give up at."""


@example(EDGES, timedelta(hours=10), False)  # noqa: FBT003 - the arguments' places
@example(EDGES, timedelta(hours=10), True)  # noqa: FBT003 - as above
@given(
    st.lists(cases | near_boundaries, min_size=1, max_size=60),
    st.integers(3_600, 90 * 86_400).map(lambda seconds: timedelta(seconds=seconds)),
    st.booleans(),
)
def test_the_query_asks_for_the_ids_that_the_rule_names(
    rows: list[tuple[int, int | None, str]], give_up_after: timedelta, force: bool
) -> None:
    now = SENT_AT + timedelta(microseconds=123_456)

    by_query = due_by_query(rows, now=now, give_up_after=give_up_after, force=force)
    assert by_query == due_by_rule(rows, now=now, give_up_after=give_up_after, force=force)


@pytest.mark.parametrize("force", [False, True])
def test_a_final_message_is_never_asked_again_even_if_a_later_answer_was_not_final(force: bool) -> None:
    """Mistake 7 seen from asking: an answer after the final one does not reopen a message."""
    now = SENT_AT + timedelta(hours=2)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            "CREATE TABLE sent_messages AS "
            "SELECT 'a' AS app_id, '1' AS msg_id, ? AS sent_at, '2026-03-02' AS sent_date",
            [SENT_AT],
        )
        connection.execute(
            "CREATE TABLE delivery_reports AS SELECT 'a' AS app_id, '1' AS msg_id, unnest(['delivered', 'sending']) "
            "AS status, unnest([?, ?]) AS observed_at, '2026-03-02' AS sent_date",
            [SENT_AT + timedelta(minutes=1), SENT_AT + timedelta(minutes=2)],
        )
        use_due_rule(connection)
        unpushed = "SELECT *, NULL::TIMESTAMPTZ AS pushed_at, 1 AS stretch"
        connection.execute(f"CREATE VIEW polled AS {unpushed} FROM ({query('follow/sql/polled')})")
        due = connection.execute(
            query("follow/sql/due_ids"),
            {
                "now": now,
                "force": force,
                "give_up_seconds": WEEK.total_seconds(),
                "memory_seconds": API_MEMORY.total_seconds(),
                "min_interval_seconds": 60.0,
                "age_share": AGE_SHARE,
                "most_delay_seconds": MOST_DELAY.total_seconds(),
            },
        ).fetchall()

    assert due == []


seconds = st.integers(0, 9 * 86_400)
pushed_cases = st.tuples(
    seconds, st.none() | seconds, st.none() | seconds, st.sampled_from([1.0, 2.0, 7.5, MOST_STRETCH])
)
"""Age, seconds since the latest answer, seconds since the latest push, and the stretch of its app."""


def _around_bounds(age: int, waited: int | None, since_push: int | None, stretch: float) -> list[int]:
    """Return the seconds by which a message is moved so as to stand at its due moment, and a second either side."""
    now = SENT_AT + timedelta(seconds=age)
    last = None if waited is None else now - timedelta(seconds=min(waited, age))
    pushed = None if since_push is None else now - timedelta(seconds=min(since_push, age))
    at = next_due_at(sent_at=SENT_AT, last_answer_at=last, pushed_at=pushed, stretch=stretch)
    off = (at - now) // timedelta(seconds=1)
    return [0, off - 1, off, off + 1]


@example([(3600, None, None, 60.0), (3540, None, None, 60.0), (7200, 3600, 1800, 60.0), (7200, 30, 10, 60.0)])
@given(st.lists(pushed_cases, min_size=1, max_size=15))
def test_the_macro_says_with_pushes_what_the_rule_says(cases: list[tuple[int, int | None, int | None, float]]) -> None:
    """At any moment and around each due moment; whatever is pushed, nothing is due before the shortest interval."""
    rows = [(*case, by) for case in cases for by in _around_bounds(*case)]
    expected, given_rows = [], []
    for age, waited, since_push, stretch, by in rows:
        then = SENT_AT + timedelta(seconds=age)
        last = None if waited is None else then - timedelta(seconds=min(waited, age))
        pushed = None if since_push is None else then - timedelta(seconds=min(since_push, age))
        now = then + timedelta(seconds=by)
        given_rows.append((SENT_AT, last, pushed, stretch, now))
        expected.append(
            is_due(now=now, sent_at=SENT_AT, last_answer_at=last, give_up_after=WEEK, pushed_at=pushed, stretch=stretch)
        )
    with DATABASE.cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        use_due_rule(connection)
        columns = [list(column) for column in zip(*given_rows, strict=True)]
        types = ["TIMESTAMPTZ", "TIMESTAMPTZ", "TIMESTAMPTZ", "DOUBLE", "TIMESTAMPTZ"]
        arguments = ", ".join(f"unnest(?::{kind}[])" for kind in types)
        numbers = f"{WEEK.total_seconds()}, {API_MEMORY.total_seconds()}, 60, {AGE_SHARE}, {MOST_DELAY.total_seconds()}"
        found = connection.execute(
            f"SELECT is_due(s, l, p, f, n, false, {numbers}) FROM (SELECT {arguments}) AS rows(s, l, p, f, n)", columns
        ).fetchall()
    assert [due for (due,) in found] == expected


@given(pushed_cases)
def test_a_lost_push_puts_no_question_off_for_longer_than_the_bound(
    case: tuple[int, int | None, int | None, float],
) -> None:
    age, waited, _, stretch = case
    last = None if waited is None else SENT_AT + timedelta(seconds=max(0, age - waited))
    usual = next_due_at(sent_at=SENT_AT, last_answer_at=last)
    stretched = next_due_at(sent_at=SENT_AT, last_answer_at=last, stretch=stretch)
    assert usual <= stretched <= usual + MOST_DELAY
