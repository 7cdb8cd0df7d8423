"""Windows of time of the platform's own record of what was sent (`getSentRcd`).

What belongs here: what a window asks, how it is cut, what the platform counts in it. What does not: the rows of an
answer (`sent_record.py`), requests (`client.py`), which windows are asked for (`follow/record_reader.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

from pipeline.api.endpoints import GET_SENT_RECORD, Endpoint
from pipeline.api.envelope import Envelope

MOST_ROWS: Final = 50_000
"""Most rows of one answer (vendor page): an answer that has so many may lack others."""
_SHORTEST: Final = timedelta(seconds=1)
"""Times are written in whole seconds."""


@dataclass(frozen=True)
class Window:
    """A span of time of one app, from `start` to `end`, and the row from which it is asked for.

    Whether the platform counts the ends in is not said, so windows that follow one another share an end.
    """

    app_id: str
    start: datetime
    end: datetime
    start_index: int = 0

    @property
    def endpoint(self) -> Endpoint:
        """The call that a window is of."""
        return GET_SENT_RECORD

    @property
    def query(self) -> str:
        """The query of its request."""
        fields = {
            "appId": self.app_id,
            "startTime": _written(self.start),
            "endTime": _written(self.end),
            "startIndex": str(self.start_index),
        }
        return "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())

    @property
    def can_be_cut(self) -> bool:
        """Say whether it is longer than a second."""
        return self.end - self.start > _SHORTEST

    def halves(self) -> tuple[Window, Window]:
        """Cut in two at a whole second; only for windows that can be cut."""
        seconds = (self.end - self.start) // _SHORTEST
        middle = self.start + timedelta(seconds=(seconds + 1) // 2)
        return replace(self, end=middle, start_index=0), replace(self, start=middle, start_index=0)

    def after(self, rows: int) -> Window:
        """Return the same span from a later row on."""
        return replace(self, start_index=rows)


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def counted_rows(envelope: Envelope) -> int | None:
    """Return how many messages the platform counts (`success` and `fail`); None where it does not say."""
    if envelope.success is None or envelope.fail is None:
        return None
    return envelope.success + envelope.fail
