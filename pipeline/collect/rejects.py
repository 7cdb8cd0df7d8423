"""Why a log record is not a message: the published codes and their meaning.

Belongs here: the words. Does not belong here: when a code applies (`log_records` for records,
`sent_logs` for lines and files).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "broken_line": "the line is not JSON, or not a CSV row with as many cells as the header",
        "unfinished_line": "the last line has no end and can't be parsed, perhaps it is still being written",
        "line_too_long": "the record is longer than 8 MiB",
        "bad_encoding": "the record holds bytes that are not UTF-8",
        "not_a_record": "the line is JSON, but not an object",
        "bad_response": "the response is not an answer of sendSms",
        "not_sent": "sendSms answered with a status other than 0, or without rows",
        "no_id": "there is no msg_id",
        "bad_id": "msg_id is not 1 to 32 digits, or was a float and has lost digits",
        "no_time": "there is no sent_at",
        "bad_time": "sent_at is not a date with a time of day",
        "before_start": "sent before SMS_START_DATE",
        "in_future": "sent more than a day in the future",
        "far_from_file_date": "sent more than a day away from the date in the file's name",
        "no_app": "there is no app_id, and SMS_APP_ID is not set",
        "bad_app": "app_id is neither text nor a whole number",
        "unknown_format": "the file's ending is none of .jsonl, .ndjson, .json, .csv (each also .gz, .zst), .parquet",
        "no_header": "the first line of the CSV file names neither msg_id nor response",
        "cut_file": "the compressed file ends or breaks here; the rest can't be read",
        "broken_file": "the Parquet file can't be read from here on",
    }
)
"""Code -> meaning. The reason of a reject is `code: meaning`, sometimes with a detail behind it."""
PROVISIONAL = frozenset({"unfinished_line", "cut_file", "broken_file"})
"""Codes that may stop being true when a file that was still being written is read again."""


class Reject(NamedTuple):
    """A record, or a message of a record, that did not become a message.

    Attributes:
        item: index of the message in its record, from 0; None where the record as a whole is meant.
        reason: `code: meaning`, no numbers and no secrets in it.
        raw: recognised fields as JSON text, None where the record could not be parsed.
    """

    item: int | None
    reason: str
    raw: str | None = None


def reason_of(code: str, detail: str | None = None) -> str:
    """Return the reason for people: the code, its meaning, and a detail where there is one."""
    return f"{code}: {REASONS[code]}" if detail is None else f"{code}: {REASONS[code]} ({detail})"
