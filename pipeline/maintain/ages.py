"""How long lake files have been without a name, whatever this machine's clock says: before they may be deleted.

A clock may be wrong when a file is replaced, when files are cleaned, or at both times. So an age counts
- up to the latest answer of the platform in the lake, by the platform's clock (`observed_at`), not up to now; or
- between cleanings that found the file: a pause counts as a day at most, and one day is for a jump ahead.

And a process at work may read a file unless it was not there yet when an earlier cleaning found the file. Without such
a process, or with one that began later, no clock is asked.

Belongs here: ages, and the note of what a cleaning found. Does not: which files have no name, deleting (`clean.py`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from pipeline.lake.lake import Lake
from pipeline.lake.notes import note_unnamed_files, unnamed_files
from pipeline.model.tables import ACCOUNT_BALANCE, DELIVERY_REPORTS

LONGEST_PAUSE: Final = timedelta(days=1)
"""Time between two cleanings counts as so much at most; maintenance is daily."""


@dataclass(frozen=True)
class _Found:
    """A file that an earlier cleaning found without a name.

    Attributes:
        since: when it was replaced, Unix seconds.
        seconds: time between cleanings since it was found first.
        at_work: processes that were at work then.
    """

    since: float
    seconds: float
    at_work: list[str]


@dataclass
class Ages:
    """What earlier cleanings found, and what this one finds.

    Attributes:
        now: of this machine's clock.
        known: latest instant of the platform's clock that is not after it; None if the lake has none.
        at_work: processes at work in the lake, by their scratch folders, and runs at work on any machine, by their ids.
    """

    now: datetime
    known: datetime | None
    at_work: Collection[str]
    _cleaned_at: datetime | None
    _former: Mapping[str, _Found]
    _present: dict[str, _Found] = field(default_factory=dict)

    @classmethod
    def of(cls, lake: Lake, *, now: datetime, others: Collection[str]) -> Self:
        """Read what earlier cleanings noted; `others` are runs that are at work on any machine."""
        note: dict[str, Any] = json.loads(unnamed_files(lake) or '{"at": null, "files": {}}')
        at = None if note["at"] is None else datetime.fromtimestamp(note["at"], UTC)
        former = {name: _Found(**found) for name, found in note["files"].items()}
        return cls(now, known_instant(lake, now=now), {*lake.at_work(), *others}, at, former)

    def may_go(self, name: str, since: datetime, *, kept: timedelta) -> bool:
        """Say whether a file has had no name for the time `kept`, and no process at work may read it.

        `since` is when it was replaced or written, by the clock of that time.
        """
        former = self._former.get(name)
        found = self._present[name] = self._seen_again(former) if former else self._seen_first(since)
        if not self._may_be_read(former):
            return not kept or self._is_old(found, kept)
        return False

    def _seen_first(self, since: datetime) -> _Found:
        """Note a file: it was replaced after the cleaning before, which did not find it."""
        earliest = self._cleaned_at if self._cleaned_at and self._cleaned_at <= self.now else since
        return _Found(max(since, earliest).timestamp(), 0.0, sorted(self.at_work))

    def _seen_again(self, former: _Found) -> _Found:
        pause = self.now - (self._cleaned_at or self.now)
        more = min(max(pause, timedelta(0)), LONGEST_PAUSE).total_seconds()
        return _Found(former.since, former.seconds + more, former.at_work)

    def _may_be_read(self, former: _Found | None) -> bool:
        return bool(self.at_work) and (former is None or not set(self.at_work).isdisjoint(former.at_work))

    def _is_old(self, found: _Found, kept: timedelta) -> bool:
        seconds = kept.total_seconds()
        by_platform = self.known is not None and found.since + seconds <= self.known.timestamp()
        return by_platform or found.seconds >= seconds + LONGEST_PAUSE.total_seconds()

    def note(self, lake: Lake, *, deleted: Collection[str]) -> None:
        """Note what this cleaning found and did not delete, for the next one."""
        files = {name: asdict(found) for name, found in self._present.items() if name not in deleted}
        note_unnamed_files(lake, json.dumps({"at": self.now.timestamp(), "files": files}))


def known_instant(lake: Lake, *, now: datetime) -> datetime | None:
    """Return when the platform answered last, by its clock and not after `now`; None if it never did."""
    found = [lake.snapshot(table).latest_by(now) for table in (DELIVERY_REPORTS, ACCOUNT_BALANCE)]
    return max(filter(None, found), default=None)
