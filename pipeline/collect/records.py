"""One parsed log record to messages and rejects.

Belongs here: the rules that a record must keep, and what of it is shown when it does not. Does not
belong here: files, lines and formats (`sent_logs`), names of fields (`logs.fields`), forms of time
(`times`). Message text is never looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from pipeline.collect.columns import Limits
from pipeline.collect.fields import fields_among, is_empty, number_of, settled, text_of
from pipeline.collect.raw import Values, is_id, raw_of
from pipeline.collect.receipts import answer_of
from pipeline.collect.rejects import Reject, reason_of
from pipeline.collect.times import EPOCH, local_date, time_us
from pipeline.model.phone_numbers import NumberPolicy

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

LONGEST_ID_BITS = 107  # of 32 digits
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class LogRules:
    """What records are measured by.

    Attributes:
        log_zone: zone of times without an offset (`SMS_SENT_LOG_TIMEZONE`).
        partition_zone: zone whose days are the partitions (`SMS_TIMEZONE`).
        default_app_id: app of records that name none (`SMS_APP_ID`).
        start_date: first partition (`SMS_START_DATE`).
        now: the run's start, aware.
        numbers: how phone numbers are stored (`SMS_NUMBERS`).
    """

    log_zone: ZoneInfo
    partition_zone: ZoneInfo
    default_app_id: str | None
    start_date: date
    now: datetime
    numbers: NumberPolicy

    @cached_property
    def latest_us(self) -> int:
        """The last instant, in microseconds since 1970 UTC, that is not in the future."""
        return (self.now + ONE_DAY - EPOCH) // timedelta(microseconds=1)


class Message(NamedTuple):
    """One sent message, `number` its digits before `SMS_NUMBERS`, `sent_at_us` microseconds since 1970 UTC."""

    app_id: str
    msg_id: str
    number: str | None
    sender_id: str | None
    order_id: str | None
    sent_at_us: int
    sent_date: date
    item: int


Outcome = Message | Reject


def limits_of(rules: LogRules, file_date: date | None) -> Limits:
    """Return the same rules as `logs.columns` wants them."""
    return Limits(
        log_zone=rules.log_zone,
        partition_zone=rules.partition_zone,
        default_app_id=rules.default_app_id,
        start_date=rules.start_date,
        latest_us=rules.latest_us,
        file_date=file_date,
    )


def read_record(record: object, rules: LogRules, file_date: date | None) -> Sequence[Outcome]:
    """Make messages and rejects of one parsed record.

    Shape:  a plain record -> one outcome, item 0; a sendSms call -> one for each row of its `array`;
            a record that is of no use as a whole -> one reject without item.
    Args:   `record` as it came from JSON, CSV (texts) or Parquet; `file_date` the date in its file's name.
    Raises: nothing for bad data.
    """
    if not isinstance(record, dict):
        return (Reject(None, reason_of("not_a_record")),)
    fields = fields_among(tuple(record))
    if fields.rivals or (fields.response is not None and not is_empty(record[fields.response])):
        return _read_fully(settled(record, fields), rules, file_date)
    get = record.get
    values = Values(
        get(fields.msg_id), get(fields.sent_at), get(fields.app_id),
        get(fields.number), get(fields.sender_id), get(fields.order_id),
    )  # fmt: skip
    return (read_values(values, 0, rules, file_date),)


def _read_fully(record: Mapping[str, object], rules: LogRules, file_date: date | None) -> Sequence[Outcome]:
    """Read a record with field names of our own, which may hold an answer of sendSms."""
    values = Values(*(record.get(name) for name in Values._fields))
    response = record.get("response")
    if is_empty(response):
        return (read_values(values, 0, rules, file_date),)
    answer = answer_of(response)
    if answer is None and not is_empty(values.msg_id):
        return (read_values(values, 0, rules, file_date),)
    if answer is None:
        return (_reject("bad_response", values, None, rules),)
    if not answer.is_sent:
        raw = raw_of(values, rules.numbers, rules.log_zone, status=answer.status, reason=answer.reason)
        return (Reject(None, reason_of("not_sent"), raw),)
    return [_outcome_of_row(row, values, item, rules, file_date) for item, row in enumerate(answer.rows)]


def _outcome_of_row(row: object, call: Values, item: int, rules: LogRules, file_date: date | None) -> Outcome:
    """Read one row of an answer: id, number and order are its own, the rest is the call's."""
    if not isinstance(row, dict):
        return _reject("bad_response", call, item, rules)
    own = settled(row, fields_among(tuple(row)))
    values = call._replace(msg_id=own.get("msg_id"), number=own.get("number"), order_id=own.get("order_id"))
    return read_values(values, item, rules, file_date)


def read_values(values: Values, item: int, rules: LogRules, file_date: date | None) -> Outcome:
    """Make a message or a reject of one message's values; the first rule that is broken is the reason."""
    if is_empty(values.msg_id):
        return _reject("no_id", values, item, rules)
    msg_id = _id_of(values.msg_id)
    if msg_id is None:
        return _reject("bad_id", values, item, rules)
    if is_empty(values.sent_at):
        return _reject("no_time", values, item, rules)
    sent_at_us = time_us(values.sent_at, rules.log_zone)
    if sent_at_us is None:
        return _reject("bad_time", values, item, rules)
    sent_date = local_date(sent_at_us, rules.partition_zone)
    app_id = text_of(values.app_id) or rules.default_app_id
    fault = _fault_of_time(sent_at_us, sent_date, rules, file_date) or _fault_of_app(app_id, values.app_id)
    if fault is not None or app_id is None:
        return _reject(fault or "no_app", values, item, rules)
    return Message(
        app_id, msg_id, number_of(values.number), text_of(values.sender_id), text_of(values.order_id),
        sent_at_us, sent_date, item,
    )  # fmt: skip


def _fault_of_time(sent_at_us: int, sent_date: date, rules: LogRules, file_date: date | None) -> str | None:
    if sent_date < rules.start_date:
        return "before_start"
    if sent_at_us > rules.latest_us:
        return "in_future"
    if file_date is not None and sent_date != file_date and abs(sent_date - file_date) > ONE_DAY:
        return "far_from_file_date"
    return None


def _fault_of_app(app_id: str | None, given: object) -> str | None:
    if text_of(given) is None and not is_empty(given):
        return "bad_app"
    return "no_app" if app_id is None else None


def _id_of(value: object) -> str | None:
    """Return the id exactly as it was logged, None where it is none: floats have lost digits."""
    if isinstance(value, str):
        text = value.strip()
    elif _is_exact_integer(value):
        text = str(value)
    else:
        return None
    return text if is_id(text) else None


def _is_exact_integer(value: object) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and value.bit_length() <= LONGEST_ID_BITS
    return isinstance(value, Decimal) and value.as_tuple().exponent == 0


def _reject(code: str, values: Values, item: int | None, rules: LogRules) -> Reject:
    return Reject(item, reason_of(code), raw_of(values, rules.numbers, rules.log_zone))
