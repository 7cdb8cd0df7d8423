"""What should come out, in plain Python: no SQL, no pandas. Written from the design, not from the code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from tests.support.lakes import Said, Sent

STATES = ("delivered", "failed", "sending", "not_found", "pending", "unknown", "invalid_id")


@dataclass(frozen=True)
class Expected:
    """A message as it should read."""

    status: str
    is_final: bool
    receive_time: datetime | None
    polls: int
    latency: float | None


def is_ahead(said: Said, moment: datetime) -> bool:
    """Return whether an answer is more than an hour ahead of a moment: the clock that stored it was wrong."""
    return said.observed_at > moment + timedelta(hours=1)


def expected_state(
    sent: Sent, answers: Sequence[Said], *, now: datetime, unknown_after: timedelta, latest: datetime | None = None
) -> Expected:
    """Merge the answers for one message, whatever their order; those ahead of `latest`, or now, count last."""
    ordered = sorted(answers, key=lambda said: said.observed_at)
    if not ordered:
        return Expected("pending", is_final=False, receive_time=None, polls=0, latency=None)
    finals = [said for said in ordered if said.status in {"delivered", "failed"}]
    invalid = [said for said in ordered if said.status == "invalid_id"]
    latest_open = max(ordered, key=lambda said: (not is_ahead(said, latest or now), said.observed_at))
    decided = finals[0] if finals else invalid[0] if invalid else latest_open
    status, is_final, received = decided.status, bool(finals or invalid), decided.receive_time
    if not is_final and now - sent.sent_at > unknown_after:
        status, received = "unknown", None
    latency = (received - sent.sent_at).total_seconds() if received else None
    return Expected(status, is_final, received, len(ordered), latency)


def local_hour(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return the start of the local hour of an instant, as an instant; a repeated hour is two."""
    local = moment.astimezone(zone)
    start = local.replace(minute=0, second=0, microsecond=0)
    return (start.replace(tzinfo=None) - (local.utcoffset() or timedelta())).replace(tzinfo=UTC)


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the continuous percentile: linear between the neighbours in order."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below, above = math.floor(place), math.ceil(place)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


@lru_cache(maxsize=10_000)
def day_end(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant whose local day is a later one."""
    moment = datetime.combine(day, time(), UTC) - timedelta(hours=15)
    while moment.astimezone(zone).date() <= day:
        moment += timedelta(minutes=15)
    return moment


def expected_bucket(
    members: Sequence[tuple[Sent, Expected]], *, ends: datetime, now: datetime, unknown_after: timedelta
) -> dict[str, object]:
    """Count one bucket of a rate table, whose hour or day ends at `ends`."""
    counts = {state: sum(state == expected.status for _, expected in members) for state in STATES}
    was_asked = any(e.polls for _, e in members)
    sent, delivered, failed = len(members), counts["delivered"], counts["failed"]
    latencies = [e.latency for _, e in members if e.status == "delivered" and e.latency is not None]
    return {
        "sent": sent,
        **counts,
        "delivery_rate": delivered / sent if was_asked else None,
        "delivery_rate_final": delivered / (delivered + failed) if delivered + failed else None,
        "dlr_coverage": (delivered + failed) / sent if was_asked else None,
        "latency_p50_seconds": percentile(latencies, 0.50),
        "latency_p95_seconds": percentile(latencies, 0.95),
        "latency_p99_seconds": percentile(latencies, 0.99),
        "is_mature": now >= ends
        and all(e.is_final or (e.polls > 0 and now - s.sent_at > unknown_after) for s, e in members),
    }
