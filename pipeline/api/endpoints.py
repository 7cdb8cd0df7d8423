"""What the platform can be asked: the name of each call, and how large its answer may be.

What belongs here: the bounds of an answer. What does not: what is asked (`batches.py`, `sent_record.py`), requests
(`client.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol


@dataclass(frozen=True)
class Endpoint:
    """A call of the platform.

    Attributes:
        name: last part of its path.
        most_bytes: longest body that is read; a longer one is not the protocol.
        most_elements: most elements of `array`; more are not the protocol.
    """

    name: str
    most_bytes: int
    most_elements: int


GET_REPORT: Final = Endpoint("getReport", most_bytes=2 * 2**20, most_elements=2_000)
"""A response for 200 ids has about 30 kB, and one row for each id found: ten times as many are not the protocol."""
GET_SENT_RECORD: Final = Endpoint("getSentRcd", most_bytes=32 * 2**20, most_elements=100_000)
"""A page of 50,000 rows has about 6 MB."""
GET_BALANCE: Final = Endpoint("getBalance", most_bytes=2**16, most_elements=0)


class Question(Protocol):
    """What one request asks."""

    @property
    def endpoint(self) -> Endpoint:
        """The call."""

    @property
    def query(self) -> str:
        """The query of the request, encoded once; empty where nothing is given."""


@dataclass(frozen=True)
class BalanceQuestion:
    """Asks for the balance of the account whose key signs the request."""

    endpoint: Endpoint = GET_BALANCE
    query: str = ""
