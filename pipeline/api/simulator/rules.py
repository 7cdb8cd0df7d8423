"""What becomes of a message: it follows from its id and the time alone.

What belongs here: ids, fates, and the row that getReport shows at a given time, all pure.
What does not: HTTP and envelopes (`server`, `envelope`), and anything with a clock or chance.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from pipeline.api.simulator.countries import (
    COUNTRIES,
    ENDLESS_SHARE,
    LONGEST_SECONDS,
    NEVER_LISTED_SHARE,
    QUEUE_MEAN_SECONDS,
    SLOW_MEAN_SECONDS,
    SLOW_SHARE,
    Country,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.api.simulator.incidents import Incident

DELIVERED, FAILED, SENDING = "0", "1", "-1"
"""Row statuses as the vendor numbers them."""

REPORTS_KEPT = timedelta(days=90)
"""Messages sent longer ago than this are not found."""

SEQUENCES = 10_000_000
"""Ids that one second has room for."""

_VENDOR_OFFSET = timedelta(hours=8)
_ID_DIGITS = 19
_WORD = 2.0**32
_DRAWS = struct.Struct("<8IQ")
_COUNTRY_BOUNDS = tuple(accumulate(country.weight for country in COUNTRIES))


@dataclass(frozen=True, slots=True)
class Fate:
    """All that will ever be known of one message.

    Attributes:
        number: digits with the calling code, no plus sign.
        country: ISO 3166-1 alpha-2 code of the number.
        listed_at: until then the message is queued and not found (UTC); None = for ever.
        final_at: when it becomes final, whole seconds (UTC); None = never.
        status: `0` delivered, `1` failed, `-1` where it never becomes final.
        price: decimal text, USD.
    """

    number: str
    country: str
    listed_at: datetime | None
    final_at: datetime | None
    status: str
    price: str


class Report(NamedTuple):
    """One row of getReport; `receive_time` is ISO 8601 at +08:00, empty while sending.

    A tuple, for it is made in a fifth of a dataclass's time and a call makes 200.
    """

    msg_id: str
    number: str
    receive_time: str
    status: str
    price: str


def make_msg_id(sent_at: datetime, sequence: int) -> str:
    """Return the 19 digits `yymmddHHMMSS` (UTC) + sequence in seven digits (0 to 9,999,999)."""
    if not 0 <= sequence < SEQUENCES:
        raise ValueError(f"sequence {sequence} has no room in seven digits")
    return f"{sent_at.astimezone(UTC):%y%m%d%H%M%S}{sequence:07d}"


def sent_at_of(msg_id: str) -> datetime | None:
    """Return the second that the id encodes (UTC), None where it is not an id of the simulator's form."""
    if len(msg_id) != _ID_DIGITS or not (msg_id.isascii() and msg_id.isdigit()):
        return None
    if msg_id[6:8] == "24":  # newer Pythons read it as the next midnight
        return None
    try:
        return datetime.fromisoformat(f"20{msg_id[:6]}T{msg_id[6:12]}Z")
    except ValueError:
        return None


def fate_of(msg_id: str, incidents: Sequence[Incident] = ()) -> Fate:
    """Return what becomes of the message, the same for ever.

    Raises: ValueError where the id is not of the simulator's form.
    """
    sent_at = sent_at_of(msg_id)
    if sent_at is None:
        raise ValueError(f"{msg_id!r} is not an id of the simulator")
    return _fate(msg_id, sent_at, incidents)


def _fate(msg_id: str, sent_at: datetime, incidents: Sequence[Incident]) -> Fate:
    """Return the fate of an id whose second is known already."""
    draws = _DRAWS.unpack(blake2b(msg_id.encode(), digest_size=_DRAWS.size).digest())
    where, verdict, endless, queue, slow, normal, angle, prefix, subscriber = draws
    country = COUNTRIES[bisect_right(_COUNTRY_BOUNDS, where * 1000 // 2**32)]
    number = _number(country, prefix, subscriber)
    queued = _exponential(queue, QUEUE_MEAN_SECONDS)
    listed_at = sent_at + timedelta(0, queued)
    if endless < ENDLESS_SHARE * _WORD:
        never_listed = endless < ENDLESS_SHARE * NEVER_LISTED_SHARE * _WORD
        return Fate(number, country.iso, None if never_listed else listed_at, None, SENDING, country.price)
    takes = _seconds_to_final(country, normal=normal, angle=angle, slow=slow)
    failed_share = country.failed_share
    for incident in incidents:
        if incident.strikes(country.iso, sent_at):
            failed_share = max(failed_share, incident.failed_share)
            takes += _exponential(normal, incident.delay_seconds)
    final_at = sent_at + timedelta(0, math.ceil(queued + min(takes, LONGEST_SECONDS)))
    status = FAILED if verdict < failed_share * _WORD else DELIVERED
    return Fate(number, country.iso, listed_at, final_at, status, country.price)


def report_at(msg_id: str, now: datetime, incidents: Sequence[Incident] = ()) -> Report | None:
    """Return the row that getReport shows at `now` (aware), None where the message is not found.

    Not found: queued, not sent yet, sent over 90 days ago, or not an id of the simulator's form.
    """
    sent_at = sent_at_of(msg_id)
    if sent_at is None or not sent_at <= now <= sent_at + REPORTS_KEPT:
        return None
    fate = _fate(msg_id, sent_at, incidents)
    if fate.listed_at is None or now < fate.listed_at:
        return None
    if fate.final_at is None or now < fate.final_at:
        return Report(msg_id, fate.number, "", SENDING, fate.price)
    return Report(msg_id, fate.number, _vendor_time(fate.final_at), fate.status, fate.price)


def _vendor_time(moment: datetime) -> str:
    """Return whole UTC seconds as the vendor writes them: `2021-02-12T09:30:03+08:00`."""
    return f"{(moment + _VENDOR_OFFSET).isoformat()[:19]}+08:00"


def _number(country: Country, prefix: int, subscriber: int) -> str:
    """Return calling code, prefix and subscriber's digits."""
    digits = country.random_digits
    start = country.prefixes[prefix % len(country.prefixes)]
    return f"{country.calling_code}{start}{subscriber % 10**digits:0{digits}d}"


def _exponential(draw: int, mean: float) -> float:
    """Return an exponential variate of the 32-bit draw, in the unit of `mean`."""
    return -mean * math.log((draw + 1) / _WORD)


def _seconds_to_final(country: Country, *, normal: int, angle: int, slow: int) -> float:
    """Return the seconds from leaving the queue to the final state: log-normal, a few hours late."""
    radius = math.sqrt(-2.0 * math.log((normal + 1) / _WORD))  # Box-Muller
    takes = country.median_seconds * math.exp(country.sigma * radius * math.cos(angle * math.tau / _WORD))
    if slow < SLOW_SHARE * _WORD:
        takes += _exponential(int(slow / SLOW_SHARE), SLOW_MEAN_SECONDS)
    return takes
