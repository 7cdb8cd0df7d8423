"""The vendor's answer to `sendSms`, as logs keep it.

Belongs here: whether a value is such an answer, and its rows. Does not belong here: what the rows
become (`log_records`), answers of `getReport`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.collect.fields import text_of
from pipeline.collect.json_text import decode_json


class Answer(NamedTuple):
    """An answer of `sendSms`: `status` as text, the platform's own words, one row for each number."""

    status: str | None
    reason: str | None
    rows: Sequence[object]

    @property
    def is_sent(self) -> bool:
        """Whether the platform took the messages and names them."""
        return self.status == "0" and bool(self.rows)


def answer_of(response: object) -> Answer | None:
    """Read an answer from an object or its JSON text, None where it is something else."""
    value = _decoded(response) if isinstance(response, str) else response
    if not isinstance(value, dict) or "status" not in value:
        return None
    rows = value.get("array")
    if rows is not None and not isinstance(rows, list):
        return None
    return Answer(text_of(value["status"]), text_of(value.get("reason")), rows or ())


def _decoded(text: str) -> object:
    try:
        return decode_json(text.encode("utf-8", "replace"))
    except ValueError:
        return None
