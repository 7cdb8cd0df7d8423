"""Why a log record is rejected, and the `raw` text that is stored of it.

Belongs here: the published codes, their meaning, and the text of `raw`.
Does not belong here: when a code applies (`records` for fields, `formats` for lines and files).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline.collect.fields import RawFields
from pipeline.collect.times import time_us
from pipeline.collect.values import number_of, text_of
from pipeline.model.phone_numbers import NumberPolicy, mask_text, treat_number, treat_text

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "broken_line": "the line is not JSON, or no CSV row: it has more cells than the header, or a quote left open",
        "unfinished_line": "the last line has no end, perhaps it is still being written",
        "line_too_long": "the record is longer than 8 MiB, or its Parquet row group is longer than 256 MiB, with rows "
        "of more than 64 KiB on average, or has a page of more than 100 MiB",
        "bad_encoding": "a field holds bytes that are not UTF-8",
        "not_a_record": "the JSON value is not an object",
        "bad_response": "the response is not an answer of sendSms, or has more than 100,000 rows",
        "not_sent": "sendSms answered with a status other than 0, or without rows",
        "no_id": "there is no msg_id",
        "bad_id": "msg_id is not 1 to 32 digits, or was a float and has lost digits",
        "no_time": "there is no sent_at",
        "bad_time": "sent_at is not a date with a time of day that is one instant for certain; set "
        "SMS_SENT_LOG_TIME_FORMAT to say how it is written",
        "before_start": "sent before SMS_START_DATE",
        "in_future": "sent more than a day in the future",
        "far_from_file_date": "sent more than a day away from the date in the file's name",
        "no_app": "app_id is empty, or there is no such field and SMS_APP_ID is not set",
        "bad_app": "app_id is neither text nor a whole number",
        "number_as_app": "app_id looks like a phone number, and neither SMS_APP_ID nor SMS_ACCOUNTS names it",
        "unknown_format": "the file's ending is none of .jsonl, .ndjson, .json, .log, .csv, .tsv (also .gz, .zst), "
        ".parquet",
        "no_header": "none of the first 20 lines of the CSV file names msg_id or response",
        "cut_file": "the compressed file ends or breaks here; the rest can't be read, up to its next part if any",
        "broken_file": "the Parquet file, or its row group that starts here, can't be read",
    }
)
"""Code -> meaning. The reason of a reject is `code: meaning`, sometimes with a detail behind it."""


def reason_of(code: str, rows: int = 1) -> str:
    """Return the reason for people: the code and its meaning, and how many rows it stands for if they are many."""
    return f"{code}: {REASONS[code]}" + (f" ({rows} rows)" if rows > 1 else "")


def raw_of(
    values: RawFields, policy: NumberPolicy, zone: ZoneInfo, time_format: str | None = None, **more: str | None
) -> str:
    """Return `values` and `more` as JSON text, each value at most 200 characters.

    Any field may hold a phone number in the wrong place: numbers in ids, apps, and times that can't be read are masked
    like those of free text. Number, sender and order have the form that they have in the tables; text in place of a
    number is kept only where numbers are. Values that are neither text nor number are left out.
    """
    is_time = time_us(values.sent_at, zone, time_format) is not None
    shown = {name: _shown(value) for name, value in values._asdict().items() if name not in {"response", "labels"}}
    shown |= {
        "msg_id": _masked(shown["msg_id"], policy),
        "app_id": _masked(shown["app_id"], policy),
        "sender_id": treat_text(shown["sender_id"], policy),
        "order_id": treat_text(shown["order_id"], policy),
        "sent_at": shown["sent_at"] if is_time else _masked(shown["sent_at"], policy),
        "number": _number_shown(values.number, policy),
        **{name: _masked(value, policy) for name, value in more.items()},
    }
    present = {name: value for name, value in shown.items() if value is not None}
    return json.dumps(present, ensure_ascii=False, separators=(",", ":"))


def _masked(text: str | None, policy: NumberPolicy) -> str | None:
    return None if text is None else mask_text(text, policy)


def _number_shown(value: object, policy: NumberPolicy) -> str | None:
    digits = number_of(value)
    if digits is None:
        return _masked(_shown(value), policy) if policy.mode == "keep" else None
    return treat_number(digits, policy)


def _shown(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool | float | Decimal):
        return str(value)
    return text_of(value) if isinstance(value, str | int) else None
