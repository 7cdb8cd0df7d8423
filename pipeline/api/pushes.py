"""From the bytes of a push to the reports in it: what the platform posts when a message becomes final.

What belongs here: tolerant JSON, the rules of one pushed report, numbers treated before anything is stored. What does
not: HTTP (`push_server.py`), files (`push_journal.py`). Source: the vendor's page of the push, whose samples are not
valid JSON: strings in single quotes, a key with a blank behind it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from pipeline.model.hidden_keys import id_without_forgotten, is_number_as_app
from pipeline.model.json_fields import fit_json
from pipeline.model.phone_numbers import NumberPolicy, mask_text, treat_number

_FIELDS: Final = {
    "appid": "app_id",
    "msgid": "msg_id",
    "mobile": "number",
    "number": "number",
    "status": "status",
    "reason": "reason",
    "timestamp": "reported_at",
    "mcc": "mcc",
    "mnc": "mnc",
    "pricedetail": "pricedetail",
}
"""Fields of a push by their names in lower case, without `_` and blanks around them."""
_PRICE_FIELDS: Final = {"pay": "pay", "price": "price", "currency": "currency", "chargecnt": "charge_count"}
_STATUSES: Final = {0: "delivered", 1: "failed"}
_LONGEST_APP: Final = 100
_LONGEST_WORD: Final = 20
_SECONDS_BELOW: Final = 10**11
"""Smaller times are seconds, as in sent logs; the page says milliseconds."""
_LATEST_SECONDS: Final = 4_102_444_800
"""The year 2100: a later time is none."""
_MOST_CHARGES: Final = 10**6
MOST_REPORTS: Final = 10_000
"""Reports of one push. A body may hold 340,000 empty objects, each of which would be a rejected record."""
_MOST_MONEY: Final = 10.0**11
_TOKEN: Final = re.compile(
    r"""(?P<plain>"(?:[^"\\\x00-\x1f]|\\.)*+")|'(?P<single>(?:[^'\\\x00-\x1f]|\\.)*+)'|(?P<between>[^"']++)"""
)
_ESCAPE_OR_QUOTE: Final = re.compile(r'\\.|"')
_TRAILING_COMMA: Final = re.compile(r",(\s*[}\]])")
_ID: Final = re.compile(r"[0-9]{1,32}")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,15}")
_NETWORK_CODE: Final = re.compile(r"[0-9]{1,3}")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,2})?")


class NotAPushError(ValueError):
    """The body holds no report, whatever is done with it; the text says why, without a part of the body."""


@dataclass(frozen=True)
class PushRules:
    """How a push is read.

    Attributes:
        numbers: how phone numbers are stored.
        default_app: app of reports that have no field for it.
        received_at: when the push arrived.
    """

    numbers: NumberPolicy
    default_app: str | None
    received_at: datetime


def decode_push(body: bytes) -> list[Any]:
    """Return the reports of a body, one object or an array of them, as they came.

    JSON is read as it is. Only a body that is none is read with strings in single quotes and commas before a closing
    bracket. An object that has a field twice is refused: one of the two is a lie.

    Raises:
        NotAPushError: it is neither, or holds more than MOST_REPORTS.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotAPushError("is not UTF-8") from None
    try:
        found = _parsed(text)
    except json.JSONDecodeError:
        found = _parsed_or_refused(_in_double_quotes(text))
    if not isinstance(found, dict | list) or not found:
        raise NotAPushError("must be an object, or an array of objects")
    if len(found) > MOST_REPORTS and isinstance(found, list):
        raise NotAPushError(f"holds more than {MOST_REPORTS:,} reports")
    return found if isinstance(found, list) else [found]


def _parsed_or_refused(text: str) -> Any:
    try:
        return _parsed(text)
    except json.JSONDecodeError:
        raise NotAPushError("is not JSON") from None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_fields_once, parse_constant=_refuse_constant)
    except json.JSONDecodeError:
        raise
    except (RecursionError, ValueError) as error:  # nested too deeply; an integer of thousands of digits
        if isinstance(error, NotAPushError):
            raise
        raise NotAPushError("is no JSON of a report") from None


def _fields_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = {name.strip(): value for name, value in pairs}
    if len(fields) < len(pairs):
        raise NotAPushError("has a field twice")
    return fields


def _refuse_constant(_: str) -> None:
    raise NotAPushError("is not JSON")


def _in_double_quotes(text: str) -> str:
    """Return the text with JSON strings in place of those in single quotes.

    Raises:
        NotAPushError: a quote is not closed.
    """
    return "".join(_rewritten(text))


def _rewritten(text: str) -> Iterator[str]:
    end = 0
    for token in _TOKEN.finditer(text):
        if token.start() != end:
            break
        end = token.end()
        if (single := token["single"]) is not None:
            yield '"' + _ESCAPE_OR_QUOTE.sub(_in_json, single) + '"'
        else:
            yield token["plain"] or _TRAILING_COMMA.sub(r"\1", token["between"])
    if end != len(text):
        raise NotAPushError("is not JSON")


def _in_json(found: re.Match[str]) -> str:
    return {r"\'": "'", '"': r"\""}.get(found[0], found[0])


def line_of(element: Any, rules: PushRules) -> tuple[bytes, bool]:
    """Return the line that is stored for one report of a push, and whether it can be used.

    A report that can't be used becomes a line with `rejected`, the reason, and `raw`, its recognised fields.
    """
    try:
        row = _row(element, rules)
    except _RejectedError as error:
        row = {"rejected": str(error), "raw": _raw(element, rules), "received_at": rules.received_at}
    return msgspec.json.encode(row) + b"\n", "rejected" not in row


class _RejectedError(ValueError):
    """A report can't be used; the text begins with a code."""


def _row(element: Any, rules: PushRules) -> dict[str, Any]:
    fields, extra = _fields(element)
    row: dict[str, Any] = {
        "app_id": _app(fields, rules),
        "msg_id": _msg_id(fields, rules.numbers),
        "number": treat_number(_text(fields.get("number")), rules.numbers),
        "status": _status(fields, extra),
        "reason": _reason(fields.get("reason"), extra, rules.numbers),
        "reported_at": _instant(fields.get("reported_at")),
        "received_at": rules.received_at,
    }
    for name in ("mcc", "mnc"):
        row[name] = _network_code(fields.get(name))
    row |= _price(fields.get("pricedetail"), extra)
    _keep_unread(fields, row, extra)
    row["extra"] = _json_text(extra, rules.numbers) if extra else None
    return row


def _fields(element: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields that the page names, by our names, and the others."""
    if not isinstance(element, dict):
        raise _RejectedError("not_an_object: a push is an object for each report")
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in element.items():
        known = _FIELDS.get(name.lower().replace("_", ""))
        if known is None:
            extra[name] = value
        elif known in fields and fields[known] != value:
            raise _RejectedError(f"ambiguous: {known} has two values")
        else:
            fields[known] = value
    return fields, extra


def _app(fields: Mapping[str, Any], rules: PushRules) -> str:
    if "app_id" not in fields and rules.default_app:
        return rules.default_app
    app_id = _text(fields.get("app_id")) or ""
    if not app_id:
        raise _RejectedError("no_app: appId is missing or empty")
    if len(app_id) > _LONGEST_APP or not app_id.isprintable():
        raise _RejectedError("bad_app: appId is no id of an app")
    if is_number_as_app(app_id, rules.numbers):
        raise _RejectedError("bad_app: appId is a phone number")
    return app_id


def _msg_id(fields: Mapping[str, Any], numbers: NumberPolicy) -> str:
    msg_id = _text(fields.get("msg_id")) or ""
    if not msg_id and not isinstance(fields.get("msg_id"), float):
        raise _RejectedError("no_id: msgid is missing or empty")
    if not _ID.fullmatch(msg_id):
        raise _RejectedError("bad_id: msgid is not 1 to 32 digits")
    return id_without_forgotten(msg_id, numbers.forgotten)


def _status(fields: Mapping[str, Any], extra: dict[str, Any]) -> str:
    """Return `delivered` for 0, else `failed`; a code other than 0 and 1 is kept."""
    text = _text(fields.get("status")) or ""
    if not _WHOLE.fullmatch(text):
        raise _RejectedError("bad_status: status is no whole number")
    if int(text) not in _STATUSES:
        extra["status"] = int(text)
    return _STATUSES.get(int(text), "failed")


def _reason(value: Any, extra: dict[str, Any], numbers: NumberPolicy) -> str | None:
    if value is not None and not isinstance(value, str | int):
        extra["reason"] = value
    return mask_text(text, numbers) if (text := _text(value)) else None


def _instant(value: Any) -> datetime | None:
    text = _text(value) or ""
    if not (_WHOLE.fullmatch(text) and int(text) > 0):
        return None
    seconds = int(text) / (1 if int(text) < _SECONDS_BELOW else 1000)
    return datetime.fromtimestamp(seconds, UTC) if seconds < _LATEST_SECONDS else None


def _network_code(value: Any) -> str | None:
    text = _text(value) or ""
    return text if _NETWORK_CODE.fullmatch(text) else None


def _price(detail: Any, extra: dict[str, Any]) -> dict[str, Any]:
    """Return price, pay, currency and charges; what is not as documented is null and kept in `extra`."""
    row: dict[str, Any] = dict.fromkeys(_PRICE_FIELDS.values())
    if not isinstance(detail, dict):
        return row
    others: dict[str, Any] = {}
    for name, value in detail.items():
        known = _PRICE_FIELDS.get(name.lower().replace("_", ""))
        if known is None or (read := _price_value(known, value)) is None:
            others |= {name: value} if value not in {None, ""} else {}
        else:
            row[known] = read
    if others:
        extra["pricedetail"] = others
    return row


def _price_value(name: str, value: Any) -> object:
    text = repr(value) if isinstance(value, float) else _text(value)
    if text is None:
        return None
    if name == "currency":
        return text if text.isalpha() and len(text) <= _LONGEST_WORD else None
    if name == "charge_count":
        return int(text) if text.isascii() and text.isdigit() and int(text[:9]) < _MOST_CHARGES else None
    return text if _DECIMAL.fullmatch(text) and abs(float(text)) < _MOST_MONEY else None


def _keep_unread(fields: Mapping[str, Any], row: Mapping[str, Any], extra: dict[str, Any]) -> None:
    """Keep in `extra` what a field holds and could not be read."""
    for name in ("reported_at", "mcc", "mnc"):
        if row[name] is None and fields.get(name) not in {None, ""}:
            extra["timestamp" if name == "reported_at" else name] = fields[name]
    detail = fields.get("pricedetail")
    if detail is not None and not isinstance(detail, dict):
        extra["pricedetail"] = detail


def _text(value: Any) -> str | None:
    """Return text or a whole number as text; None for all else. Floats have lost digits of an id already."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().strip() or None  # JSON can hold halves of surrogate pairs
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _json_text(fields: Mapping[str, Any], numbers: NumberPolicy) -> str | None:
    """Return the fields as JSON text fit for storing; None where no JSON is made of them."""
    try:
        return fit_json(msgspec.json.encode(fields).decode(), numbers)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def _raw(element: Any, rules: PushRules) -> str | None:
    """Return the recognised fields of a rejected report as JSON text, numbers treated."""
    if not isinstance(element, dict):
        return None
    kept: dict[str, str] = {}
    for name, value in element.items():
        known, text = _FIELDS.get(name.lower().replace("_", "")), _text(value)
        if known is not None and text is not None:
            treated = treat_number(text, rules.numbers) if known == "number" else mask_text(text, rules.numbers)
            kept[known] = (treated or "")[:_LONGEST_APP]
    return json.dumps(kept, ensure_ascii=True)
