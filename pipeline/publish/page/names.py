"""Dimensions and names in words for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from pipeline.model.networks import NETWORKS
from pipeline.publish.page.sentences import isolated

_WORDS: Final = {
    "country": ("Countries", "country"),
    "sender_id": ("Senders", "sender"),
    "app_id": ("Apps", "app"),
    "network": ("Networks", "network"),
    "failure_reason": ("Why they failed", "reason"),
}
_NOT_KNOWN: Final = {"country": "not known", "sender_id": "no sender", "app_id": "no app"}
LABEL: Final = "label:"


@dataclass(frozen=True)
class Dimension:
    """A dimension of the page.

    Attributes:
        key: as in the roll-ups: country, sender_id, app_id, network, failure_reason or label:NAME.
        values: as stored, most messages first; None = not known.
        others: number of further values, which share the last row.
    """

    key: str
    values: Sequence[str | None]
    others: int

    @property
    def is_outcome(self) -> bool:
        """Whether its values are of failed messages alone, so that a delivery rate of them says nothing."""
        return self.key == "failure_reason"

    @property
    def title(self) -> str:
        """Heading of its table."""
        return _WORDS[self.key][0] if self.key in _WORDS else f"By {self.one}"

    @property
    def one(self) -> str:
        """Word for one of its values."""
        return _WORDS[self.key][1] if self.key in _WORDS else self.key.removeprefix(LABEL)

    def name(self, row: int) -> str:
        """Name of a row in a table."""
        if row >= len(self.values):
            return f"{self.others:,} others"
        value = self.values[row]
        if value is None:
            return _NOT_KNOWN.get(self.key, f"no {self.one}")
        if self.key == "network":
            return f"{NETWORKS[value]} ({value})" if value in NETWORKS else value
        return country_names().get(value, value) if self.key == "country" else value

    def phrase(self, row: int) -> str:
        """Name of a row within a sentence."""
        name = self.name(row)
        if self.key == "country":
            is_known = row < len(self.values) and self.values[row] is not None
            return isolated(name) if is_known else "numbers without a country"
        return f"{self.one} {isolated(name)}"


@cache
def country_names() -> dict[str, str]:
    """Return the English name of each country of phone numbers, by ISO 3166-1 alpha-2 code."""
    lines = files("pipeline.publish.page").joinpath("country_names.txt").read_text("utf-8").splitlines()
    return {line[:2]: line[3:] for line in lines}
