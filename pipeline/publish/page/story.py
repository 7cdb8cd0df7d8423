"""The sentences of every span and row, from the published file: finds events, looks up slow hours, writes words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

import duckdb

from pipeline.publish.page.content import PageContent, slow_hours
from pipeline.publish.page.events import ALL, Event, find_events
from pipeline.publish.page.sentences import SlowHours, Telling, busiest_hours, quiet, sentence

WHOLE: Final = ""
"""Id of all messages, where others have that of a row."""


def read_story(connection: duckdb.DuckDBPyConnection, content: PageContent) -> dict[tuple[int, str], list[Telling]]:
    """Return the sentences by place of the span and id of the row; rows without a change have none.

    Raises:
        duckdb.Error: the published file can't be read.
    """
    spans = content.timeline.spans
    told = find_events(content.figures(), withins=[span.days for span in spans])
    hours = _hours(connection, content.mature_days, [event for one in told for event in one.whole])
    dimensions = {dimension.key: dimension for dimension in content.dimensions}

    def words(events: Sequence[Event]) -> list[Telling]:
        ordered = sorted(events, key=lambda event: (event.metric == "slow", -event.change.evidence))
        return [
            sentence(event, content.mature_days, lambda key, row: dimensions[key].phrase(row), _of(event, hours))
            for event in ordered
        ]

    found = {}
    for place, (span, one) in enumerate(zip(spans, told, strict=True)):
        nothing = quiet(span.days, what=[dimension.one for dimension in content.dimensions if not dimension.is_outcome])
        found[place, WHOLE] = words(one.whole) or [nothing]
        found |= {(place, f"{key}/{row}"): words(events) for (key, row), events in one.rows.items()}
    return found


def _hours(
    connection: duckdb.DuckDBPyConnection, days: Sequence[date], events: Iterable[Event]
) -> dict[int, SlowHours | None]:
    """Return the slow hours of each single day, by its bin, on which all messages were slow."""
    slow = {e.change.newest: e for e in events if e.metric == "slow" and _is_of_one_day(e)}
    counts = slow_hours(connection, [days[place] for place in slow])
    return {place: busiest_hours(counts[days[place]], event.change.usual) for place, event in slow.items()}


def _of(event: Event, hours: dict[int, SlowHours | None]) -> SlowHours | None:
    return hours.get(event.change.newest) if _is_of_one_day(event) else None


def _is_of_one_day(event: Event) -> bool:
    return event.dimension == ALL and event.change.excess > 0 and event.change.end - event.change.newest == 1
