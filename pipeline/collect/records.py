"""A frame of raw fields to messages and rejects.

Belongs here: the rules that a record must keep; each row gets the first one it breaks, or none.
Does not belong here: parsing (`formats`), forms of values (`fields`, `times`), the tables' other columns (`reading`).
Message text is never read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute

from pipeline.collect.fields import ABSENT, RawFields
from pipeline.collect.frames import Fault, RawFrame
from pipeline.collect.rejects import raw_of, reason_of
from pipeline.collect.times import EPOCH, dates_of, instants_of
from pipeline.collect.values import (
    BIGGEST_INTEGER_BITS,
    EMPTY_TEXTS,
    TEXT_FIELDS,
    TextField,
    extended_value,
    is_empty,
    label_of,
)
from pipeline.model.hidden_keys import is_number_as_app
from pipeline.model.kept_days import KeptDays
from pipeline.model.phone_numbers import NumberPolicy, treat_text

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

ONE_DAY = timedelta(days=1)
IN_FUTURE: Final = "in_future"
_DROPPED: Final = "dropped"
_LABELS: Final = pa.map_(pa.string(), pa.string())
_MISSING: Final[Mapping[str, tuple[str, str]]] = {"bad_id": ("no_id", "msg_id"), "bad_time": ("no_time", "sent_at")}
"""Code of a value that can't be read -> code where it is missing, and its field."""
_TEXT_TYPES: Final = frozenset({str, type(None)})
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them


@dataclass(frozen=True)
class LogRules:
    """Settings that decide what becomes of a record, and the run's start, `now`.

    Attributes:
        log_zone: zone of times without an offset (`SMS_SENT_LOG_TIMEZONE`).
        partition_zone: zone whose days are the partitions (`SMS_TIMEZONE`).
        default_app_id: app of records that have no field for it (`SMS_APP_ID`).
        fields: field -> its name in the logs (`SMS_SENT_LOG_FIELDS`).
        time_format: `strptime` pattern of times (`SMS_SENT_LOG_TIME_FORMAT`).
        labels: fields that are kept as labels (`SMS_SENT_LOG_LABELS`).
        named_apps: apps that the settings name: no phone numbers, whatever they look like.
        kept_days: first days of which messages and numbers are kept; what is older was dropped and stays so.
    """

    log_zone: ZoneInfo
    partition_zone: ZoneInfo
    default_app_id: str | None
    start_date: date
    now: datetime
    numbers: NumberPolicy
    fields: Mapping[str, str] = field(default_factory=dict)
    time_format: str | None = None
    labels: tuple[str, ...] = ()
    named_apps: frozenset[str] = frozenset()
    kept_days: KeptDays = field(default_factory=KeptDays)

    @cached_property
    def latest(self) -> datetime:
        """The last instant that is not in the future."""
        return self.now + ONE_DAY


class Applied(NamedTuple):
    """What became of a frame: messages, rejects, and how many records were left out, since their day was dropped."""

    messages: pa.Table
    rejects: list[Reject]
    dropped: int


class Reject(NamedTuple):
    """A record, or a message of a record, that did not become a message.

    Attributes:
        line: where the record starts.
        item: index of the message in its line, from 0; None if the line's first record is rejected as a whole.
        reason: `code: meaning`, without phone numbers and secrets.
        raw: recognised fields as JSON text, None if the record could not be parsed.
        again_at: from when it is no reject any more, for a record in the future.
    """

    line: int
    item: int | None
    reason: str
    raw: str | None
    again_at: datetime | None = None


def apply_rules(
    frame: RawFrame, rules: LogRules, file_date: date | None, *, folder_app_id: str | None = None
) -> Applied:
    """Make messages and rejects of a frame; `folder_app_id` is the app that the file's folder names.

    Shape:  n rows -> a table of k messages, numbers as digits before `SMS_NUMBERS`; d that were dropped;
            n - k - d rejects, and one for each unparsed record, in order of lines.
    Raises: nothing for bad data.
    """
    columns = _stored_columns(frame, rules, folder_app_id)
    codes = _first_broken(columns, rules, file_date)
    if frame.faults:
        is_fault = pa.array([place in frame.faults for place in range(len(frame.lines))])
        codes = _pc.if_else(is_fault, pa.scalar("fault"), codes)
    is_dropped = _pc.fill_null(_pc.less(columns["sent_date"], rules.kept_days.messages), fill_value=False)
    dropped = is_dropped.true_count
    if dropped:
        codes = _pc.if_else(is_dropped, pa.scalar(_DROPPED), codes)
    messages = pa.table(columns)
    rejects = [Reject(line, item, reason_of(code, rows), None) for line, item, code, rows in frame.unparsed]
    if codes.null_count < len(codes):
        messages = messages.filter(codes.is_null())
        rejected = _pc.indices_nonzero(_pc.and_not(codes.is_valid(), is_dropped))
        places, found = rejected.to_pylist(), codes.take(rejected).to_pylist()
        rejects += [
            _reject(frame, place, code, rules)._replace(again_at=_again_at(columns, place, code))
            for place, code in zip(places, found, strict=True)
        ]
        rejects.sort(key=lambda reject: (reject.line, reject.item or 0))
    return Applied(messages, rejects, dropped)


def _stored_columns(frame: RawFrame, rules: LogRules, folder_app_id: str | None) -> dict[str, Any]:
    """Return the columns of messages, null where a value is missing or can't be read."""
    raw = {name: frame.column(name) for name in TEXT_FIELDS}
    absent = folder_app_id or rules.default_app_id
    raw["app_id"] = [absent if app is ABSENT else app for app in raw["app_id"]]
    columns: dict[str, Any] = {name: stored_texts(raw[name], field) for name, field in TEXT_FIELDS.items()}
    if folder_app_id is not None:
        columns["app_id"] = _pc.fill_null(columns["app_id"], folder_app_id)
    times = frame.column("sent_at")
    columns["sent_at"] = instants_of(_texts_among(times), times, rules.log_zone, rules.time_format)
    columns["sent_date"] = dates_of(columns["sent_at"], rules.partition_zone)
    columns["line"] = pa.array(frame.lines, pa.int64())
    columns["item"] = pa.array(frame.items, pa.int64())
    if rules.labels:
        columns["labels"] = _labels(frame.column("labels"), rules)
    return columns


def _labels(records: Sequence[object], rules: LogRules) -> pa.Array[Any]:
    """Return the labels of each record, null where it has none; numbers as `treat_text` says."""
    found = [_labels_of(values, rules) if isinstance(values, tuple) else None for values in records]
    return pa.array(found, _LABELS)


def _labels_of(values: Sequence[object], rules: LogRules) -> list[tuple[str, str]] | None:
    named = zip(rules.labels, map(label_of, map(extended_value, values)), strict=True)
    treated = [(name, treat_text(text, rules.numbers)) for name, text in named]
    return [(name, text) for name, text in treated if text is not None] or None


def stored_texts(values: Sequence[object], field: TextField) -> pa.StringArray:
    """Return values as they are stored: what no operation on the column tells goes to the exact function."""
    texts = _texts_among(values, with_integers=True)
    is_missing = _pc.is_in(texts, pa.array(EMPTY_TEXTS, pa.string()))  # made here: an array imports pandas
    common, is_common = field.common(texts)
    stored: pa.StringArray = _pc.if_else(_pc.and_not(is_common, is_missing), common, None)
    is_other = _pc.and_not(stored.is_null(), is_missing)
    others = _pc.indices_nonzero(is_other).to_pylist()
    if others:
        exact = [None if values[place] is None else field.exact(values[place]) for place in others]
        stored = _pc.replace_with_mask(stored, is_other, pa.array(exact, pa.string()))
    return stored


def _texts_among(values: Sequence[object], *, with_integers: bool = False) -> pa.StringArray:
    """Return the values that are text, or integers as their digits; null for others and for text that is no Unicode."""
    texts: Sequence[Any] = values
    kinds = set(map(type, values)) - _TEXT_TYPES
    if with_integers and int in kinds:
        texts = [_digits_of(value) if type(value) is int else value for value in texts]
    if kinds - {int} or (kinds and not with_integers):
        texts = [value if isinstance(value, str) else None for value in texts]
    with suppress(UnicodeEncodeError):
        return pa.array(texts, pa.string())
    return pa.array([None if text is None or not _is_unicode(text) else text for text in texts], pa.string())


def _digits_of(value: int) -> str | None:
    return str(value) if value.bit_length() <= BIGGEST_INTEGER_BITS else None


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _first_broken(columns: Mapping[str, Any], rules: LogRules, file_date: date | None) -> Any:
    """Return the code of the first broken rule of each row, null where it keeps them all."""
    dates = columns["sent_date"]
    broken = {
        "bad_id": columns["msg_id"].is_null(),
        "bad_time": columns["sent_at"].is_null(),
        "before_start": _pc.less(dates, rules.start_date),
        IN_FUTURE: _pc.greater(columns["sent_at"], rules.latest),
        "far_from_file_date": _is_far(dates, file_date),
        "bad_app": _pc.equal(columns["app_id"], ""),
        "no_app": columns["app_id"].is_null(),
        "number_as_app": _is_number_as_app(columns["app_id"], rules),
    }
    return _pc.case_when(_pc.make_struct(*broken.values()), *(pa.scalar(code) for code in broken))


def _is_number_as_app(apps: Any, rules: LogRules) -> Any:
    found = [app for app in _pc.unique(apps).to_pylist() if app and app not in rules.named_apps]
    numbers = [app for app in found if is_number_as_app(app, rules.numbers)]
    return _pc.is_in(apps, pa.array(numbers, pa.string()))


def _again_at(columns: Mapping[str, Any], place: int, code: str) -> datetime | None:
    sent_at: datetime | None = columns["sent_at"][place].as_py() if code == IN_FUTURE else None
    return sent_at - ONE_DAY if sent_at else None


def _is_far(dates: Any, file_date: date | None) -> Any:
    if file_date is None:
        return pa.repeat(pa.scalar(value=False), len(dates))
    away = _pc.subtract(dates.cast(pa.int32()), (file_date - EPOCH.date()).days)
    return _pc.greater(_pc.abs(away), 1)


def _reject(frame: RawFrame, place: int, code: str, rules: LogRules) -> Reject:
    values = frame.row(place)
    fault = frame.faults.get(place) or Fault(_exact_code(code, values))
    receipt = fault.receipt
    words = {} if receipt is None else {"status": receipt.status, "reason": receipt.reason}
    raw = raw_of(values, rules.numbers, rules.log_zone, rules.time_format, **words)
    return Reject(frame.lines[place], frame.items[place], reason_of(fault.code), raw)


def _exact_code(code: str, values: RawFields) -> str:
    """Tell a value that is missing from one that can't be read."""
    missing, field = _MISSING.get(code, (code, ""))
    return missing if field and is_empty(getattr(values, field)) else code
