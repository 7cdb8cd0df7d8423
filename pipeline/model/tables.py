"""The one place that says which tables and columns there are, with type, unit and meaning.

Schema, comments in DuckDB, Dagster's column schema and the README's dictionary come from it.
What does not belong here: how a table is made (`sql/`) or stored (`lake.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SqlType = Literal["VARCHAR", "TIMESTAMPTZ", "DATE", "BOOLEAN", "INTEGER", "BIGINT", "DOUBLE"]

PARTITION_KEY: Final = "sent_date"

DELIVERY_STATUSES: Final = ("delivered", "failed", "sending", "not_found", "pending", "unknown", "invalid_id")
"""The states of a message; in every bucket of a rate table they sum to `sent`."""
FINAL_STATUSES: Final = ("delivered", "failed", "invalid_id")
"""States after which a message is never asked for again."""


@dataclass(frozen=True)
class Column:
    """A column: its name, DuckDB type, and what a value means.

    Attributes:
        repeats: a value stands in many rows of a file, which then holds it once.
    """

    name: str
    type: SqlType
    meaning: str
    repeats: bool = True


@dataclass(frozen=True)
class Table:
    """A table: its name, what a row is, its columns in order, and the key that makes a row unique.

    Attributes:
        is_partitioned: its files lie in a folder for each day and leave the day out; else a file holds any days.
        told_maxima: columns whose greatest value in a file stands in the transaction log, so that it is known unread.
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    is_partitioned: bool = True
    told_maxima: tuple[str, ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def stored_columns(self) -> tuple[Column, ...]:
        """Columns that its files hold: a partition key stands in the folder's name instead."""
        return tuple(c for c in self.columns if not (self.is_partitioned and c.name == PARTITION_KEY))

    @property
    def partition_keys(self) -> list[str]:
        """Columns by which its files lie in folders."""
        return [PARTITION_KEY] if self.is_partitioned else []


_APP_ID = Column("app_id", "VARCHAR", "App (appId) that the message was sent with.")
_MSG_ID = Column(
    "msg_id", "VARCHAR", "The platform's id of the message: text of digits, never a number.", repeats=False
)
_NUMBER = Column(
    "number",
    "VARCHAR",
    "Phone number in digits with calling code, treated as SMS_NUMBERS says; null where not known.",
    repeats=False,
)
_COUNTRY = Column(
    "country", "VARCHAR", "ISO 3166-1 alpha-2 code of the number's country; null where the number does not tell."
)
_SENDER_ID = Column("sender_id", "VARCHAR", "Sender shown to the recipient, from the sent log; null where not logged.")
_ORDER_ID = Column(
    "order_id", "VARCHAR", "Order id of the message, from the sent log; null where not logged.", repeats=False
)
_SENT_AT = Column("sent_at", "TIMESTAMPTZ", "When the message was sent, from the sent log.", repeats=False)
_SENT_DATE = Column("sent_date", "DATE", "Day of sent_at in the zone SMS_TIMEZONE; the partition.")
_CALL_ID = Column("call_id", "VARCHAR", "Batch (row of api_calls) that brought this answer.")

SENT_MESSAGES: Final = Table(
    "sent_messages",
    "One row a sent message, as logged. Only grows.",
    (
        _APP_ID,
        _MSG_ID,
        _NUMBER,
        _COUNTRY,
        _SENDER_ID,
        _ORDER_ID,
        _SENT_AT,
        _SENT_DATE,
        Column("file", "VARCHAR", "Sent log that holds the record."),
        Column("line", "BIGINT", "Physical line (Parquet: row) where the record starts, from 1.", repeats=False),
    ),
    ("app_id", "msg_id"),
)

DELIVERY_REPORTS: Final = Table(
    "delivery_reports",
    "One row an answer of getReport for one message that was asked for, not_found ones too. Only grows.",
    (
        _APP_ID,
        _MSG_ID,
        _NUMBER,
        _COUNTRY,
        Column(
            "status",
            "VARCHAR",
            "What the platform said: delivered (0), failed (1), sending (-1 or undocumented), "
            "not_found (absent from the answer: queued or not known), invalid_id (refused with -14).",
        ),
        Column(
            "receive_time",
            "TIMESTAMPTZ",
            "receiveTime of the answer; null where it is empty, unreadable or without an offset.",
            repeats=False,
        ),
        Column("observed_at", "TIMESTAMPTZ", "When the answer arrived here."),
        _CALL_ID,
        Column("extra", "VARCHAR", "JSON text of fields that the protocol does not name, else null."),
        _SENT_DATE,
    ),
    ("app_id", "msg_id", "call_id"),
)

MESSAGES: Final = Table(
    "messages",
    "One row a sent message with its present state.",
    (
        _APP_ID,
        _MSG_ID,
        _NUMBER,
        _COUNTRY,
        _SENDER_ID,
        _ORDER_ID,
        _SENT_AT,
        _SENT_DATE,
        Column(
            "delivery_status",
            "VARCHAR",
            "pending (never asked), sending, not_found (asked, not there: queued, or not known), delivered, failed, "
            "unknown (no final answer SMS_UNKNOWN_AFTER_HOURS after sending), invalid_id (the API refuses the id).",
        ),
        Column("is_final", "BOOLEAN", "True for delivered, failed and invalid_id: never asked again."),
        Column(
            "receive_time",
            "TIMESTAMPTZ",
            "receiveTime of the answer that decided the state. The vendor's English page calls it receive time, "
            "its Chinese page send time.",
            repeats=False,
        ),
        Column(
            "latency_seconds",
            "DOUBLE",
            "receive_time - sent_at in seconds: the platform's own figure, may be slightly negative.",
            repeats=False,
        ),
        Column("poll_count", "INTEGER", "Answers got for this message, not_found ones too."),
        Column("first_polled_at", "TIMESTAMPTZ", "When the first answer arrived; null where never asked."),
        Column("last_polled_at", "TIMESTAMPTZ", "When the latest answer arrived; null where never asked."),
    ),
    ("app_id", "msg_id"),
)

API_CALLS: Final = Table(
    "api_calls",
    "One row a batch of ids asked for; the halves of a split batch are batches of their own.",
    (
        Column("call_id", "VARCHAR", "Id of the batch."),
        _APP_ID,
        Column("sent_date", "DATE", "Partition of the messages asked for."),
        Column("requested_at", "TIMESTAMPTZ", "When the first request of the batch started."),
        Column("ids", "INTEGER", "Number of ids asked for."),
        Column("http_status", "INTEGER", "HTTP status of the last response; null where there was none."),
        Column("status", "VARCHAR", "Envelope status code of the last response; null where there was none."),
        Column("reason", "VARCHAR", "Envelope reason of the last response."),
        Column("success", "BIGINT", "The platform's tally of delivered messages."),
        Column("fail", "BIGINT", "The platform's tally of failed messages."),
        Column("sending", "BIGINT", "The platform's tally of messages being sent."),
        Column("not_found", "BIGINT", "The platform's tally of ids not found, queued messages among them."),
        Column("attempts", "BIGINT", "Requests made for this batch."),
        Column("elapsed_ms", "BIGINT", "From the first request to the outcome, waits included, in milliseconds."),
        Column(
            "outcome",
            "VARCHAR",
            "ok, mismatch (counts or rows don't agree with what was asked or returned), split (-14: asked again in "
            "halves), gave_up (no answer in this run), refused (the platform refuses the app or the way it is asked).",
        ),
        Column("error", "VARCHAR", "What went wrong, for a person; null where nothing did."),
    ),
    ("call_id",),
)

REJECTED_RECORDS: Final = Table(
    "rejected_records",
    "One row a record that could not be used, and why.",
    (
        Column("source", "VARCHAR", "sent_log or api."),
        Column("file", "VARCHAR", "Sent log; for api the call_id of the answer."),
        Column("line", "BIGINT", "Physical line (Parquet: row) where the record starts, from 1; null for api."),
        Column("item", "BIGINT", "The message inside its line, or the row inside its answer, from 0."),
        Column("reason", "VARCHAR", "Code from the published list, a colon, and what was wrong."),
        Column("raw", "VARCHAR", "Recognised fields as JSON text; null where the line can't be parsed."),
        Column("sent_date", "DATE", "Date of the file, or partition of the call; null where the pattern has no date."),
        Column("rejected_at", "TIMESTAMPTZ", "When the record was set aside."),
    ),
    ("source", "file", "line", "item"),
)

_COUNTS: Final = (
    Column("sent", "BIGINT", "Messages sent in this bucket (by send time)."),
    Column("delivered", "BIGINT", "Of those: delivered."),
    Column("failed", "BIGINT", "Of those: failed."),
    Column("sending", "BIGINT", "Of those: being sent when last asked."),
    Column("not_found", "BIGINT", "Of those: not in the platform's latest answer (queued, or not known)."),
    Column("pending", "BIGINT", "Of those: never asked."),
    Column("unknown", "BIGINT", "Of those: no final answer SMS_UNKNOWN_AFTER_HOURS after sending."),
    Column("invalid_id", "BIGINT", "Of those: id refused by the API."),
)
RATES: Final = (
    Column("delivery_rate", "DOUBLE", "delivered / sent; null where sent is 0. Young buckets read low: see is_mature."),
    Column("delivery_rate_final", "DOUBLE", "delivered / (delivered + failed); null where both are 0."),
    Column(
        "dlr_coverage", "DOUBLE", "(delivered + failed) / sent: share with a delivery report; null where sent is 0."
    ),
)
_LATENCY_NOTE: Final = (
    " of delivered messages in seconds, by the platform's receive time (the vendor's pages disagree on whether that is "
    "receive or send time); percentiles don't add up over rows."
)
MEASURES: Final = (
    *_COUNTS,
    *RATES,
    Column("latency_p50_seconds", "DOUBLE", "Median latency" + _LATENCY_NOTE),
    Column("latency_p95_seconds", "DOUBLE", "95th percentile of latency" + _LATENCY_NOTE),
    Column("latency_p99_seconds", "DOUBLE", "99th percentile of latency" + _LATENCY_NOTE),
    Column(
        "is_mature",
        "BOOLEAN",
        "True when every message of the bucket is final or older than SMS_UNKNOWN_AFTER_HOURS.",
    ),
)
_SENT_HOUR: Final = Column(
    "sent_hour",
    "TIMESTAMPTZ",
    "Start of the local hour (zone SMS_TIMEZONE); an hour repeated when clocks go back is two hours.",
)
_DIMENSION: Final = (
    Column("dimension", "VARCHAR", "What the bucket is cut by: all, app_id, country or sender_id."),
    Column("value", "VARCHAR", "The app, country or sender; null for all, and where it is not known."),
)

DELIVERY_RATES_DAILY: Final = Table(
    "delivery_rates_daily",
    "One row a day of sending, app, country and sender.",
    (_SENT_DATE, _APP_ID, _COUNTRY, _SENDER_ID, *MEASURES),
    ("sent_date", "app_id", "country", "sender_id"),
)
DELIVERY_RATES_HOURLY: Final = Table(
    "delivery_rates_hourly",
    "One row an hour of sending, app, country and sender.",
    (_SENT_DATE, _SENT_HOUR, _APP_ID, _COUNTRY, _SENDER_ID, *MEASURES),
    ("sent_date", "sent_hour", "app_id", "country", "sender_id"),
)
DELIVERY_ROLLUPS_DAILY: Final = Table(
    "delivery_rollups_daily",
    "One row a day of sending as a whole, and one for each app, country and sender in it.",
    (_SENT_DATE, *_DIMENSION, *MEASURES),
    ("sent_date", "dimension", "value"),
    told_maxima=("sent", "delivered", "failed", "invalid_id"),  # those of the day as a whole, which has the greatest
)
DELIVERY_ROLLUPS_HOURLY: Final = Table(
    "delivery_rollups_hourly",
    "One row an hour of sending as a whole, and one for each app, country and sender in it.",
    (_SENT_DATE, _SENT_HOUR, *_DIMENSION, *MEASURES),
    ("sent_date", "sent_hour", "dimension", "value"),
)

RATE_TABLES: Final = (
    DELIVERY_RATES_DAILY,
    DELIVERY_RATES_HOURLY,
    DELIVERY_ROLLUPS_DAILY,
    DELIVERY_ROLLUPS_HOURLY,
)
RATE_PUBLICATIONS: Final = Table(
    "rate_publications",
    "One row a publication of a bucket of delivery_rollups_daily: the first in which it was mature, and each later one "
    "in which it had changed. Only grows; the view revisions shows the changes.",
    (
        Column("publication", "BIGINT", "Number of the publication that recorded the row, from 1; later is greater."),
        Column("published_at", "TIMESTAMPTZ", "When that publication was made."),
        *DELIVERY_ROLLUPS_DAILY.columns,
    ),
    (*DELIVERY_ROLLUPS_DAILY.key, "publication"),
    is_partitioned=False,
)

DETAIL_TABLES: Final = (
    MESSAGES,
    SENT_MESSAGES,
    DELIVERY_REPORTS,
    API_CALLS,
    REJECTED_RECORDS,
    RATE_PUBLICATIONS,
)
"""Tables that the published file shows as views over the lake's Parquet files."""
LAKE_TABLES: Final = (*DETAIL_TABLES, *RATE_TABLES)

SNAPSHOT_INFO: Final = Table(
    "snapshot_info",
    "One row a table of this snapshot.",
    (
        Column("table_name", "VARCHAR", "The table."),
        Column("rows", "BIGINT", "Its rows in this snapshot."),
        Column(
            "lake_version", "BIGINT", "Version of the lake's table that it was read from; null where there is none."
        ),
        Column("published_at", "TIMESTAMPTZ", "When this snapshot was made."),
        Column(
            "data_as_of", "TIMESTAMPTZ", "When the latest answer arrived (latest observed_at); null before the first."
        ),
        Column("time_zone", "VARCHAR", "Zone whose days and hours are the buckets (SMS_TIMEZONE)."),
        Column("pipeline_version", "VARCHAR", "Version of sms-delivery that made the snapshot."),
    ),
    ("table_name",),
)
