"""The world of the demo: two apps with campaigns, weekdays as in life, and two incidents that the page should find.

What belongs here: what happens in it, and when. What does not: settings of the demo (`assets/cli/demo`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from pipeline.api.simulator.incidents import Incident
from pipeline.api.simulator.sample_logs import Traffic, write_sent_logs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SHOP, LOGIN = "demoShop", "demoLogin"
"""The two apps."""

LABEL = "campaign"
"""Field of the logs that tells what a message is for."""

FAILING_COUNTRY = "BR"

_SOURCES = (
    (24, SHOP, "ACME", "autumn sale"),
    (12, SHOP, "ACME", "order shipped"),
    (14, SHOP, "Kiosk24", "order shipped"),
    (7, SHOP, "Kiosk24", "back in stock"),
    (13, SHOP, "Parcely", "parcel today"),
    (18, LOGIN, "TinyBank", "login code"),
    (8, LOGIN, "Bluebird", "login code"),
    (4, LOGIN, "Bluebird", "new password"),
)
"""Weight, app, sender and campaign."""

TRAFFIC = Traffic(
    sources=tuple({"app_id": app, "sender_id": sender, LABEL: campaign} for _, app, sender, campaign in _SOURCES),
    weights=tuple(float(weight) for weight, *_ in _SOURCES),
    weekdays=(1.0, 1.04, 1.06, 1.05, 1.12, 0.62, 0.48),
)

_ROUTE_FAILS = (8, 6)
"""Days before the last one from which a route fails, and up to which it does: both are mature on the last day."""
_SLOW_EVENING = 5
"""Days before the last one whose evening is slow."""
_BROKEN_LINES = {3: '{"msg_id":"26112', 9: '{"sent_at":"yesterday","app_id":"demoShop","sender_id":"ACME"}'}
"""What a crash and a bug left in the logs, by days before the last one."""


def incidents(last: date) -> tuple[Incident, ...]:
    """Return what goes wrong before the last day (UTC): a route for two days, and one evening's queues."""
    midnight = datetime.combine(last, time(), UTC)
    start, end = (midnight - timedelta(days=days) for days in _ROUTE_FAILS)
    evening = midnight - timedelta(days=_SLOW_EVENING)
    return (
        Incident(start, end, country=FAILING_COUNTRY, failed_share=0.8),
        Incident(evening + timedelta(hours=18), evening + timedelta(hours=22), delay_seconds=2700.0),
    )


def write_story(folder: Path, *, messages: int, days: Sequence[date], now: datetime) -> list[Path]:
    """Write the logs of the demo, two lines of which are broken; the same arguments give the same bytes."""
    paths = write_sent_logs(folder, messages=messages, days=days, now=now, traffic=TRAFFIC)
    for before, line in _BROKEN_LINES.items():
        if before < len(paths):
            with paths[-1 - before].open("a", encoding="utf-8") as lines:
                lines.write(f"{line}\n")
    return paths
