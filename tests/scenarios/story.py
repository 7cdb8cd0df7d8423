"""Hypothesis strategies for random worlds: messages with their states over time, runs with their faults.

What belongs here: which worlds there are. What does not: playing one (`play.py`), its expected result
(`tests/oracle/chronicle.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from tests.scenarios.api import (
    CLOCK_FAULT,
    GIVE_UP_FAULTS,
    HOSTS,
    LOST_FAULTS,
    ODD_FAULTS,
    SLOW_FAULTS,
    STOP_APP_FAULTS,
    STOP_BASE_FAULTS,
    Fate,
    Kind,
    Step,
    Weather,
)
from tests.support.lakes import Sent

START: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)
_DAY: Final = 86_400
_YOUNG: Final = (0, 30, 60, 600, 3600, 5 * 3600, _DAY)
_BOUNDS: Final = (3 * _DAY - 45, 3 * _DAY, 7 * _DAY - 45, 7 * _DAY, 90 * _DAY - 45, 90 * _DAY)
"""Ages in seconds (plus up to 90) at which a message may be first seen: around every bound of the rules."""
_GAPS: Final = (1, 45, 61, 600, 3600, 6 * 3600, 6 * 3600, _DAY, _DAY, 3 * _DAY, 7 * _DAY)
_AROUND_DUE: Final = (None, None, None, -45, 0, 45, 90)
_MOMENTS: Final = (0, 1, 30, 90, 600, 3600, 7200, 40_000, _DAY, 2 * _DAY, 4 * _DAY, 8 * _DAY)
_FAR: Final = (-40 * _DAY, -2 * _DAY, 2 * _DAY, 30 * _DAY, 40 * _DAY)
_CLOCK_ERRORS: Final = (0, 0, 0, 0, 0, 0, 0, -45, 45, -100, 100, -7200, 7200, *_FAR)
_JUMPS: Final = (-3600, -30, 1, 30, 3600, *_FAR)
"""Seconds by which a machine's clock is wrong at the start of a run, and by which it jumps in one."""
_COMMON_FAULTS: Final = (*LOST_FAULTS, *LOST_FAULTS, *SLOW_FAULTS, CLOCK_FAULT)
_ANY_FAULT: Final = (*_COMMON_FAULTS, *GIVE_UP_FAULTS, *STOP_APP_FAULTS, *STOP_BASE_FAULTS)


@dataclass(frozen=True)
class Edit:
    """The log of a message is corrected before a run: another app or number, an earlier time."""

    before: int
    app_id: str | None = None
    number: str | None = None
    earlier: timedelta = timedelta()


@dataclass(frozen=True)
class Message:
    """A sent message, its states over time, and the number of the run before which it is logged.

    Attributes:
        sent: as it is logged first, with an offset and its app.
        is_local: the log has the time without an offset.
        names_app: the log has the app.
    """

    sent: Sent
    fate: Fate
    logged_before: int
    edits: tuple[Edit, ...] = ()
    is_local: bool = False
    names_app: bool = True

    def logged(self, number: int) -> Sent:
        """Return what the log says before a run, with an offset and an app."""
        sent = self.sent
        for edit in (edit for edit in self.edits if edit.before <= number):
            app_id, to = edit.app_id or sent.app_id, edit.number or sent.number
            sent = replace(sent, sent_at=sent.sent_at - edit.earlier, app_id=app_id, number=to)
        return sent

    def read_in(self, number: int, run: Run) -> Sent:
        """Return what the log says before a run as the settings of the run understand it."""
        sent = self.logged(number)
        if self.is_local:
            sent = replace(sent, sent_at=sent.sent_at.replace(tzinfo=ZoneInfo(run.log_zone)).astimezone(UTC))
        return sent if self.names_app else replace(sent, app_id=run.default_app)

    @property
    def is_steady(self) -> bool:
        """Return whether its state never goes back: absent, sending, one final state."""
        order = ["absent", "sending", "final"]
        ranks = [order.index(s.kind if s.kind in order else "final") for s in self.fate.steps]
        return not self.fate.is_bad_id and ranks == sorted(ranks) and ranks.count(2) <= 1


@dataclass(frozen=True)
class End:
    """How a run ends early.

    `kill`: from a step on (a request, an answer, a file, before or after a commit) nothing has an effect.
    `crash`: an exception in a call. `signal`: SIGTERM during a call. The lake stays usable in both.
    """

    kind: Literal["kill", "crash", "signal"]
    at: int


@dataclass(frozen=True)
class Run:
    """One run: the gap since the previous one, its options, and what goes wrong in it."""

    gap: timedelta
    clock_error: timedelta = timedelta()
    leaves_out: int | None = None
    force: bool = False
    weather: Weather = field(default_factory=Weather)
    end: End | None = None
    batch_size: int = 200
    workers: int = 1
    rate: float = 0
    log_zone: str = "UTC"
    default_app: str = "app"


@dataclass(frozen=True)
class World:
    """Messages, the runs that follow them, and a last run without faults that asks for everything.

    Attributes:
        pushes: seed of what is pushed before each run: lost, doubled, late, contradicting, forged; 0 pushes nothing.
        reads_record: whether the last run, and every second one before it, reads the platform's record and balance.
    """

    messages: tuple[Message, ...]
    runs: tuple[Run, ...]
    last: Run
    give_up_days: float = 7
    pushes: int = 0
    reads_record: bool = False


def _seconds(values: st.SearchStrategy[int]) -> st.SearchStrategy[timedelta]:
    return values.map(lambda seconds: timedelta(seconds=seconds))


def weathers(*, is_mild: bool) -> st.SearchStrategy[Weather]:
    """Faults of a run, none in every fourth; mild ones never stop an app or a base."""
    common, rare = st.sampled_from(_COMMON_FAULTS), st.sampled_from(_ANY_FAULT)
    each = st.one_of(st.none(), common, common, common if is_mild else rare)
    faults = st.one_of(st.just([None]), st.lists(each, min_size=1, max_size=5)).map(tuple)
    oddity = st.sampled_from([None, None, None, *ODD_FAULTS])
    bad = st.builds(
        Weather,
        faults=faults,
        oddities=st.lists(oddity, min_size=1, max_size=5).map(tuple),
        outage=st.sampled_from([(0, 0), (0, 0), (0, 0), (0, 5), (2, 4), (3, 1000), (30, 60)]),
        latency=st.sampled_from([10, 50, 2000]).map(lambda ms: timedelta(milliseconds=ms)),
        jump=st.one_of(st.none(), st.tuples(st.integers(0, 4), _seconds(st.sampled_from(_JUMPS)))),
    )
    return st.one_of(st.just(Weather()), bad, bad, bad)


def ends(steps: st.SearchStrategy[int]) -> st.SearchStrategy[End | None]:
    """Early ends for half of the runs."""
    kinds: list[Literal["kill", "crash", "signal"]] = ["kill", "kill", "kill", "crash", "signal"]
    return st.one_of(st.none(), st.builds(End, st.sampled_from(kinds), steps))


def runs(*, is_crowded: bool) -> st.SearchStrategy[Run]:
    """Runs of any kind."""
    return st.builds(
        Run,
        gap=_seconds(st.sampled_from(_GAPS)),
        clock_error=_seconds(st.sampled_from(_CLOCK_ERRORS)),
        leaves_out=st.one_of(st.none(), st.none(), st.integers(0, 3)),
        force=st.sampled_from([False, False, False, True]),
        weather=weathers(is_mild=is_crowded),
        end=ends(st.integers(100, 450) if is_crowded else st.integers(0, 15)),
        batch_size=st.sampled_from([1, 1, 2] if is_crowded else [200, 3, 2, 1]),
        workers=st.sampled_from([1, 1, 1, 3]),
        rate=st.sampled_from([0, 0, 10]),
    )


@st.composite
def fates(draw: st.DrawFn, sent_at: datetime, *, is_plagued: bool) -> Fate:
    """Mostly the usual order: absent, sending, final; otherwise any states in any order, or a refused id."""
    kind = draw(st.sampled_from(["steady"] * (2 if is_plagued else 6) + ["wild", "bad", "bad"]))
    if kind == "bad":
        return Fate((), is_bad_id=True)
    final: Kind = draw(st.sampled_from(["delivered", "failed"]))
    kinds: list[Kind] = (
        draw(st.sampled_from([[], ["sending"], [final], ["sending", final], ["absent", "sending", final]]))
        if kind == "steady"
        else draw(st.lists(st.sampled_from(["absent", "sending", "delivered", "failed"]), min_size=1, max_size=4))
    )
    moments = sorted(draw(st.lists(st.sampled_from(_MOMENTS), min_size=len(kinds), max_size=len(kinds), unique=True)))
    return Fate(tuple(_step(draw, sent_at, moment, each) for moment, each in zip(moments, kinds, strict=True)))


def _step(draw: st.DrawFn, sent_at: datetime, moment: int, kind: Kind) -> Step:
    at = sent_at + timedelta(seconds=moment)
    has_time = kind in {"delivered", "failed"} and draw(st.sampled_from([True, True, True, False]))
    return Step(at, kind, at - timedelta(seconds=draw(st.integers(0, 3))) if has_time else None)


@st.composite
def messages(draw: st.DrawFn, starts: list[datetime], ages: list[int], *, is_plagued: bool) -> Message:
    """A message that is first logged before one of the runs, after it was sent."""
    number = draw(st.sampled_from([0, 0, 0, *range(len(starts))]))
    age = draw(st.sampled_from(ages)) + draw(st.integers(0, 90))
    sent_at = starts[number] - timedelta(seconds=age)
    sent = Sent("", sent_at, app_id=draw(st.sampled_from(["app", "app", "app", *HOSTS])))
    return Message(sent, draw(fates(sent_at, is_plagued=is_plagued)), number)


@st.composite
def corrected(draw: st.DrawFn, world: World) -> World:
    """A world whose logs are corrected and whose settings change between its runs."""

    def with_settings(run: Run) -> Run:
        zone = draw(st.sampled_from(["UTC", "UTC", "Asia/Tokyo", "America/New_York"]))
        return replace(run, log_zone=zone, default_app=draw(st.sampled_from(["app", "app", "other", "third"])))

    def with_edits(message: Message) -> Message:
        edit = st.builds(
            Edit,
            before=st.integers(1, len(world.runs)),
            app_id=st.sampled_from([None, None, *HOSTS]),
            number=st.sampled_from([None, None, "4915112345678", "919856321412"]),
            earlier=_seconds(st.sampled_from([0, 0, 1, 3600, 5 * 3600])),
        )
        edits = sorted(draw(st.lists(edit, max_size=2)), key=lambda edit: edit.before)
        is_local, names_app = draw(st.booleans()), draw(st.booleans())
        return replace(message, edits=tuple(edits), is_local=is_local, names_app=names_app)

    return replace(
        world,
        messages=tuple(with_edits(message) for message in world.messages),
        runs=tuple(with_settings(run) for run in world.runs),
        last=with_settings(world.last),
    )


@st.composite
def worlds(draw: st.DrawFn, *, is_crowded: bool = False, most_runs: int = 4) -> World:
    """A small world; a crowded one has some hundred calls per run, so that a run commits several times."""
    old = _YOUNG if is_crowded else _BOUNDS
    ages = draw(st.lists(st.one_of(st.sampled_from(_YOUNG), st.sampled_from(old)), min_size=1, max_size=2))
    story = _timed(draw, draw(st.lists(runs(is_crowded=is_crowded), min_size=1, max_size=most_runs)), ages[0])
    last = Run(draw(_seconds(st.sampled_from(_GAPS))), force=True)
    starts: list[datetime] = [START]
    for run in (*story, last):
        starts.append(starts[-1] + run.gap)
    starts = starts[1:]
    message = messages(starts, ages, is_plagued=draw(st.sampled_from([False, False, False, True])))
    kinds = draw(st.lists(message, min_size=2, max_size=4 if is_crowded else 10))
    copies = draw(st.integers(150, 300)) // len(kinds) if is_crowded else 1
    everybody = [_copy(kind, copy) for copy in range(copies) for kind in kinds]
    return World(
        tuple(replace(m, sent=replace(m.sent, msg_id=_id_of(number))) for number, m in enumerate(everybody)),
        tuple(story),
        last,
        draw(st.sampled_from([7, 7, 3, 90])),
        draw(st.sampled_from([0, 1, 2, 3])),
        reads_record=not is_crowded and draw(st.sampled_from([False, False, True])),
    )


def _timed(draw: st.DrawFn, story: list[Run], age: int) -> list[Run]:
    """Let half of the runs start about when messages of a given age become due again."""
    timed = story[:1]
    for run in story[1:]:
        around = draw(st.sampled_from(_AROUND_DUE))
        gap = run.gap if around is None else timedelta(seconds=max(60, age // 2) + around)
        age += gap // timedelta(seconds=1)
        timed.append(replace(run, gap=gap))
    return timed


def _copy(kind: Message, number: int) -> Message:
    """Return the same message some seconds earlier."""
    by = timedelta(seconds=number)
    steps = tuple(Step(s.at - by, s.kind, s.received - by if s.received else None) for s in kind.fate.steps)
    return replace(kind, sent=replace(kind.sent, sent_at=kind.sent.sent_at - by), fate=replace(kind.fate, steps=steps))


def _id_of(number: int) -> str:
    return str(2_603_020_000_000_000_000 + number)
