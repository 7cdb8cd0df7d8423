"""Right answers made wrong, one function a fault of `faults.ROW_FAULTS`. No HTTP here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pipeline.api.simulator.rules import DELIVERED, FAILED

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.api.simulator.envelope import Json

_INTEGER = re.compile(r"-?\d+")
_DECIMAL = re.compile(r"-?\d+\.\d+")


def tamper(fault: str, envelope: Json, asked: tuple[str, ...]) -> Json:
    """Return the envelope (status 0) as this fault leaves it; `envelope` itself stays as it is.

    Args:
        fault: a name of `faults.ROW_FAULTS`.
        envelope: the right answer.
        asked: the ids of the call, at least one.
    """
    if fault == "stranger":
        return _with_stranger(envelope, asked)
    return TAMPERINGS[fault](envelope)


def tamper_record(fault: str, envelope: Json) -> Json:
    """Return an envelope of the record (status 0, rows) as this fault leaves it; those of asked ids leave it right."""
    return envelope if fault in {"null-array", "no-array", "stranger"} else TAMPERINGS[fault](envelope)


def _null_array(envelope: Json) -> Json:
    total = sum(int(envelope[count]) for count in ("success", "fail", "sending", "nofound"))
    counts = {"success": "0", "fail": "0", "sending": "0", "nofound": str(total)}
    return envelope | counts | {"array": None}


def _no_array(envelope: Json) -> Json:
    return {name: value for name, value in _null_array(envelope).items() if name != "array"}


def _numbers(value: Any) -> Any:
    """Turn every text that is a number into one, at any depth."""
    match value:
        case dict():
            return {name: _numbers(inner) for name, inner in value.items()}
        case list():
            return [_numbers(inner) for inner in value]
        case str() if _INTEGER.fullmatch(value):
            return int(value)
        case str() if _DECIMAL.fullmatch(value):
            return float(value)
    return value


def _extra_fields(envelope: Json) -> Json:
    more = {"mcc": "404", "segments": 2, "route": {"name": "A", "hops": [1, 2]}}
    rows = [row | more for row in envelope["array"]]
    return envelope | {"requestId": "c0ffee", "traceId": None, "array": rows}


def _with_stranger(envelope: Json, asked: tuple[str, ...]) -> Json:
    """Add a delivered row for a neighbour of the first id, counted like the others."""
    msg_id = asked[0]
    while msg_id in asked:
        msg_id = str(int(msg_id) + 1).zfill(len(msg_id))
    row = {
        "msgId": msg_id,
        "number": "91856321412",
        "receiveTime": "2021-02-12T09:30:03+08:00",
        "status": "0",
    }
    return envelope | {"success": str(int(envelope["success"]) + 1), "array": [*envelope["array"], row]}


def _twice(envelope: Json) -> Json:
    return envelope | {"array": [*envelope["array"], *envelope["array"][:1]]}


def _contradiction(envelope: Json) -> Json:
    other = [row | {"status": FAILED if row["status"] == DELIVERED else DELIVERED} for row in envelope["array"][:1]]
    return envelope | {"array": [*envelope["array"], *other]}


def _gap(envelope: Json) -> Json:
    return envelope | {"array": envelope["array"][1:]}


def _bad_counts(envelope: Json) -> Json:
    return envelope | {"success": str(int(envelope["success"]) + 3)}


def _first_row_with(**fields: str) -> Callable[[Json], Json]:
    """Return the tampering that overwrites these fields of the first row."""

    def tampering(envelope: Json) -> Json:
        first, others = envelope["array"][:1], envelope["array"][1:]
        return envelope | {"array": [*(row | fields for row in first), *others]}

    return tampering


TAMPERINGS: dict[str, Callable[[Json], Json]] = {
    "gap": _gap,
    "null-array": _null_array,
    "no-array": _no_array,
    "numbers": _numbers,
    "extra-fields": _extra_fields,
    "twice": _twice,
    "contradiction": _contradiction,
    "bad-counts": _bad_counts,
    "bad-time": _first_row_with(receiveTime="yesterday, about noon"),
    "no-offset": _first_row_with(receiveTime="2021-02-12T09:30:03"),
    "odd-status": _first_row_with(status="7"),
}
"""Name of the fault -> what it does to an answer; `stranger` needs the ids too and stands apart."""
