"""What is sent in the benchmarks, and what the platform answers: a matter of the id alone.

An id is the time of sending as the platform writes it (+08:00, `yymmddHHMMSS`) and the message's number in seven
digits. Each message is final: its receiveTime lies in the minute after that of sending, at the second that the id's
last three digits tell, and so do they tell whether it failed. The fourth digit from the end tells country and sender:
each sender writes to one country, so that rates by sender are rates by country and sender, too.

No DuckDB here: the server, which must be light, imports this.
"""

from __future__ import annotations

from datetime import timedelta, timezone

API_KEY, API_SECRET = "bDqJFiq9", "nobodys-secret"
APP_ID = "4luaKsL2"
MOST_IDS = 200
PLATFORM_ZONE = timezone(timedelta(hours=8))
ENDINGS = 1000
"""Last three digits of an id."""
FAILED_OF_100 = 6
HEADS = {
    "4915112": "DE",
    "33612": "FR",
    "919834": "IN",
    "5511987": "BR",
    "12125": "US",
    "447720": "GB",
    "2348031": "NG",
    "628123": "ID",
    "525512": "MX",
    "639171": "PH",
}
"""What a number begins with -> country; the last six digits of the id follow."""


def is_failed(ending: int) -> bool:
    """Tell whether messages with these last three digits fail."""
    return ending * 61 % 100 < FAILED_OF_100


def second_received(ending: int) -> int:
    """Return the second of the minute at which messages with these last three digits are received."""
    return ending * 37 % 60
