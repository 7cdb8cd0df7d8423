"""The sentences at the head of the page: figures in, words out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

from pipeline.publish.page.changes import SINGLED
from pipeline.publish.page.events import ALL, Event

NameOf = Callable[[str, int], str]
"""Name of a dimension's row, as it stands within a sentence."""
_NEARLY_ALL: Final = 0.85
_TIMES_OF_DAY: Final = ("night", "morning", "afternoon", "evening")
_LONGEST_NAME: Final = 40
_HALF_A_DAY: Final = 12


class Telling(NamedTuple):
    """A sentence: what happened where and when, and how many messages that is.

    Attributes:
        newest: first bin of the days that it is about, the newest.
        end: bin after the oldest one; `newest` where it is about none.
    """

    head: str
    detail: str
    newest: int = 0
    end: int = 0


@dataclass(frozen=True)
class SlowHours:
    """The hours of a slow day in which most of it happened, local time; `end` is the hour after the last one."""

    start: int
    end: int
    timed: int
    slow: int


def busiest_hours(counts: Mapping[int, tuple[int, int]], usual: float) -> SlowHours | None:
    """Return the hours in a row in which slowness was clearest; None if most of the day is as slow.

    Args:
        counts: (timed, slow) by local hour.
        usual: usual share of slow ones.
    """
    # An hour counts by what it has beyond the middle between usual and the day's share, so that a run ends in time.
    timed, slow = (sum(count[n] for count in counts.values()) for n in (0, 1))
    bar = (usual + max(slow / timed, usual)) / 2
    excess = {hour: of_hour[1] - of_hour[0] * bar for hour, of_hour in counts.items()}
    runs = [(start, end) for start in range(24) for end in range(start + 1, 25)]
    start, end = max(runs, key=lambda run: (sum(excess.get(hour, 0.0) for hour in range(*run)), run[0] - run[1]))
    if end - start > _HALF_A_DAY:
        return None
    timed, slow = (sum(counts.get(hour, (0, 0))[n] for hour in range(start, end)) for n in (0, 1))
    return SlowHours(start, end, timed, slow)


def sentence(event: Event, days: Sequence[date], name_of: NameOf, hours: SlowHours | None = None) -> Telling:
    """Say one event: what, where, when; how many messages, of whom.

    Args:
        event: what happened.
        days: mature days, newest first.
        name_of: names for people.
        hours: of a slow day.
    """
    return _slow(event, days, name_of, hours) if event.metric == "slow" else _delivered(event, days, name_of)


def quiet(days: int, *, what: Sequence[str]) -> Telling:
    """Say that nothing changed.

    Args:
        days: mature days that were looked at.
        what: words for the dimensions.
    """
    if not days:
        return Telling("No day is complete yet", "every figure below may still rise.")
    span = "on the one complete day" if days == 1 else f"in these {days} complete days"
    if days > SINGLED:
        span = f"in the latest {SINGLED} of these {days} complete days"
    nothing = _listed([f"no {one}" for one in what] or ["not even the rate of all messages"])
    return Telling(f"Nothing changed beyond chance {span}", f"{nothing}.")


def _delivered(event: Event, days: Sequence[date], name_of: NameOf) -> Telling:
    change = event.change
    points = abs(round(100 * (change.share - change.usual)))
    way, count = ("lower", "fewer") if change.excess < 0 else ("higher", "more")
    subject = "Delivery" if event.dimension == ALL else capitalised(name_of(event.dimension, change.row))
    verb = "is" if change.newest == 0 else "was"
    return Telling(
        f"{subject} {verb} {points} {'point' if points == 1 else 'points'} {way} "
        f"{when(days, change.newest, change.end)}",
        f"{change.share:.0%} of {change.total:,} messages arrived, usually {change.usual:.0%}; about "
        f"{abs(change.excess):,.0f} {count} than usual{_whose(event, name_of)}.",
        change.newest,
        change.end,
    )


def _slow(event: Event, days: Sequence[date], name_of: NameOf, hours: SlowHours | None) -> Telling:
    change = event.change
    of = "" if event.dimension == ALL else f" {_of(event.dimension)} {name_of(event.dimension, change.row)}"
    when_slow = when(days, change.newest, change.end)
    timed, slow = change.total, change.total * change.share
    if hours:
        time_of_day = _TIMES_OF_DAY[hours.start // 6]
        when_slow = f"on the {time_of_day} of {_day(days[change.newest], with_weekday=True)}"
        when_slow += f", {hours.start:02}:00 to {hours.end:02}:00"
        timed, slow = hours.timed, hours.slow
    verb = "are" if change.newest == 0 and not hours else "were"
    kind = "slow" if change.excess > 0 else "faster than usual"
    return Telling(
        f"Messages{of} {verb} {kind} {when_slow}",
        f"{slow / timed:.0%} of {timed:,} took longer than 5 minutes, usually {change.usual:.0%}"
        f"{_whose(event, name_of)}.",
        change.newest,
        change.end,
    )


def _whose(event: Event, name_of: NameOf) -> str:
    if event.share_of:
        dimension, row, share = event.share_of
        most = "nearly all" if share >= _NEARLY_ALL else "most"
        return f", {most} of them {_of(dimension)} {name_of(dimension, row)}"
    return (
        f", {'in' if event.alike == 'country' else 'with'} all {_ALIKE.get(event.alike, 'labels')} alike"
        if event.alike
        else ""
    )


def _of(dimension: str) -> str:
    return "to" if dimension == "country" else "of"


_ALIKE: Final = {"country": "countries", "sender_id": "senders", "app_id": "apps"}


def when(days: Sequence[date], newest: int, end: int) -> str:
    """Say the days of a run: since when it lasts, or when it was."""
    first, last = days[end - 1], days[newest]
    if newest == 0 and end > 1:
        return f"since {_day(first, with_weekday=True)}"
    if first == last:
        return f"on {_day(first, with_weekday=True)}"
    if end - newest == len((first, last)):
        both = f"{first:%A} {first.day}", _day(last, with_weekday=True)
        return f"on {both[0] if first.month == last.month else _day(first, with_weekday=True)} and {both[1]}"
    start = str(first.day) if first.month == last.month else _day(first)
    return f"from {start} to {_day(last)}"


def _day(day: date, *, with_weekday: bool = False) -> str:
    return f"{day:%A} {day.day} {day:%B}" if with_weekday else f"{day.day} {day:%B}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def capitalised(text: str) -> str:
    """Begin a sentence; names stay as they are written."""
    return text[:1].upper() + text[1:]


def isolated(name: str) -> str:
    """Isolate a name of a log, so that one written from right to left does not reorder its neighbours; cut it."""
    short = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    return f"\u2068{short}\u2069"
