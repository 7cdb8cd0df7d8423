"""Many plain records at once, column by column: the quick way through the rules for clean ones.

Belongs here: finding the rows that are clean beyond doubt, and their messages. Does not belong
here: everything else about a record: a row that is not clean here goes through `log_records`, one by
one, and may be a good message yet. The tests hold both ways against each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute

from pipeline.collect.fields import LONGEST_NUMBER, LONGEST_TEXT
from pipeline.collect.raw import LONGEST_ID
from pipeline.collect.times import EPOCH, QUARTER_US, SECONDS_BELOW, local_date
from pipeline.model.iso_times import INSTANT, instants_of
from pipeline.model.text_bytes import bytes_of

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them
_DIGITS = (ord("0"), ord("9"))
_VISIBLE = (ord("!"), ord("~"))
_LATEST_MS = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * 1000


class Limits(NamedTuple):
    """What clean rows keep to: the rules of `log_records.LogRules`, and the file's date."""

    log_zone: ZoneInfo
    partition_zone: ZoneInfo
    default_app_id: str | None
    start_date: date
    latest_us: int
    file_date: date | None


class Rows(NamedTuple):
    """The values of messages, column by column: by field, with the line and the `item` of each."""

    columns: Mapping[str, pa.Array[Any]]
    lines: pa.Array[Any]
    items: pa.Array[Any]


class _Column(NamedTuple):
    """Values, and which of them are clean: an answer for each, or True for all."""

    values: Any
    is_clean: Any


def or_else(preferred: Any, other: Any) -> Any:
    """Return the values of the preferred name where it says something, else the other's."""
    if pa.types.is_null(preferred.type) or pa.types.is_null(other.type):
        return other if pa.types.is_null(preferred.type) else preferred
    if preferred.type != other.type:
        raise pa.ArrowInvalid("one field, several types")
    is_text = pa.types.is_string(preferred.type)
    is_said = _pc.not_equal(preferred, "") if is_text else preferred.is_valid()
    return _pc.if_else(_pc.fill_null(is_said, fill_value=False), preferred, other)


def clean_messages(columns: Mapping[str, pa.Array[Any]], limits: Limits) -> tuple[pa.BooleanArray, pa.Table]:
    """Find the rows that are clean beyond doubt, and make their messages.

    Shape:  columns of n rows, by field, `msg_id` and `sent_at` among them -> a mask of n, and a table of
            the k rows that it names: app_id, msg_id, number, sender_id, order_id, sent_at, sent_date.
    Units:  `sent_at` leaves as UTC microseconds, `number` as its digits before `SMS_NUMBERS`.
    Raises: nothing for bad data: its rows are not in the mask.
    """
    absent = pa.nulls(len(columns["msg_id"]), pa.string())
    found = {
        "app_id": _apps(columns.get("app_id", absent), limits.default_app_id),
        "msg_id": _ids(columns["msg_id"]),
        "number": _numbers(columns.get("number", absent)),
        "sender_id": _texts(columns.get("sender_id", absent)),
        "order_id": _texts(columns.get("order_id", absent)),
        "sent_at": _times(columns["sent_at"], limits),
    }
    found["sent_date"] = _dates(found["sent_at"].values, limits)
    # The last column has an answer for each row.
    is_clean = reduce(_pc.and_, (column.is_clean for column in reversed(found.values())))
    table = pa.table({name: column.values for name, column in found.items()})
    return is_clean, table if _pc.all(is_clean).as_py() else table.filter(is_clean)


def _nothing(values: Any, kind: Any) -> _Column:
    return _Column(pa.nulls(len(values), kind), pa.repeat(pa.scalar(False), len(values)))  # noqa: FBT003 - a value, not a flag


def _ids(values: Any) -> _Column:
    if pa.types.is_unsigned_integer(values.type):
        return _Column(values.cast(pa.string()), values.is_valid())
    if pa.types.is_integer(values.type):
        return _Column(values.cast(pa.string()), _pc.fill_null(_pc.greater_equal(values, 0), fill_value=False))
    if not pa.types.is_string(values.type):
        return _nothing(values, pa.string())
    if _are_all(values, _DIGITS, LONGEST_ID):
        return _Column(values, is_clean=True)
    return _Column(values, _pc.fill_null(_are_digits(values, LONGEST_ID), fill_value=False))


def _are_all(texts: Any, among: tuple[int, int], longest: int) -> bool:
    """Tell whether all texts are there and have 1 to `longest` bytes, each from one to another.

    As a rule they do, and to ask that of all bytes at once takes a fraction of asking it of each text.
    """
    found = bytes_of(texts)
    if found is None or found.lengths.min() < 1 or found.lengths.max() > longest:
        return False
    return bool(among[0] <= found.at.min() and found.at.max() <= among[1])


def _are_digits(texts: Any, longest: int) -> Any:
    """Tell which texts are 1 to `longest` ASCII digits."""
    return _pc.and_(_pc.ascii_is_decimal(texts), _pc.less_equal(_pc.binary_length(texts), longest))


def _texts(values: Any) -> _Column:
    if _are_all(values, _VISIBLE, LONGEST_TEXT):
        return _Column(values, is_clean=True)
    if pa.types.is_integer(values.type):
        values = values.cast(pa.string())
    if not (pa.types.is_string(values.type) or pa.types.is_null(values.type)):
        return _nothing(values, pa.string())
    texts = values.cast(pa.string())
    is_short = _pc.less_equal(_pc.binary_length(texts), LONGEST_TEXT)
    has_blanks = _pc.or_(_pc.starts_with(texts, " "), _pc.ends_with(texts, " "))
    is_clean = reduce(_pc.and_, (_pc.ascii_is_printable(texts), is_short, _pc.invert(has_blanks)))
    is_empty = _pc.equal(texts, "")
    said = _pc.if_else(is_empty, None, texts) if _pc.any(is_empty).as_py() else texts
    return _Column(said, _pc.fill_null(is_clean, fill_value=True))


def _apps(values: Any, default: str | None) -> _Column:
    texts, is_clean = _texts(values)
    filled = texts if default is None else _pc.fill_null(texts, default)
    return _Column(filled, _pc.and_(is_clean, filled.is_valid()))


def _numbers(values: Any) -> _Column:
    if _are_all(values, _DIGITS, LONGEST_NUMBER):
        return _Column(values, is_clean=True)
    texts, is_text = _texts(values)
    is_plus = _pc.starts_with(texts, "+")
    digits = _pc.if_else(is_plus, _pc.utf8_slice_codeunits(texts, 1), texts) if _pc.any(is_plus).as_py() else texts
    is_clean = _pc.fill_null(_are_digits(digits, LONGEST_NUMBER), fill_value=True)
    return _Column(digits, _pc.and_(is_text, is_clean))


def _times(values: Any, limits: Limits) -> _Column:
    """Find instants: texts of the usual ISO forms, whole Unix seconds and milliseconds, timestamps."""
    if pa.types.is_signed_integer(values.type):
        moments = _from_integers(values)
    elif pa.types.is_string(values.type):
        moments = instants_of(values, local_is_utc=limits.log_zone.key == "UTC")
    elif pa.types.is_timestamp(values.type) and values.type.tz is not None:
        moments = values.cast(INSTANT, safe=False)
    elif pa.types.is_timestamp(values.type) and limits.log_zone.key == "UTC":
        moments = values.cast(pa.timestamp("us"), safe=False).cast(INSTANT)
    else:
        return _nothing(values, INSTANT)
    moments_us = moments.cast(pa.int64())
    is_clean = _pc.and_(_pc.greater_equal(moments_us, 0), _pc.less_equal(moments_us, limits.latest_us))
    is_clean = _pc.fill_null(is_clean, fill_value=False)
    return _Column(_pc.if_else(is_clean, moments, None), is_clean)  # others may have no date


def _from_integers(values: Any) -> Any:
    is_seconds = _pc.less(values, SECONDS_BELOW)
    milliseconds = _pc.if_else(is_seconds, _pc.multiply(values, 1000), values)
    known = _pc.and_(_pc.greater_equal(values, 0), _pc.less(milliseconds, _LATEST_MS))
    return _pc.multiply(_pc.if_else(known, milliseconds, None), 1000).cast(INSTANT)


def _dates(moments: Any, limits: Limits) -> _Column:
    """Find the partition of each instant, and whether it is one that the record may have."""
    quarters = _pc.divide(moments.cast(pa.int64()), QUARTER_US).dictionary_encode()
    days = [local_date(each * QUARTER_US, limits.partition_zone) for each in quarters.dictionary.to_pylist()]
    dates = pa.array(days, pa.date32()).take(quarters.indices)
    is_clean = _pc.greater_equal(dates, pa.scalar(limits.start_date, pa.date32()))
    if limits.file_date is not None:
        away = _pc.subtract(dates.cast(pa.int32()), (limits.file_date - EPOCH.date()).days)
        is_near = _pc.less_equal(_pc.abs(away), 1)
        is_clean = _pc.and_(is_clean, is_near)
    return _Column(dates, _pc.fill_null(is_clean, fill_value=False))
