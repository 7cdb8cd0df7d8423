"""The one place that says which tables and columns there are: name, type, unit and meaning.

What belongs here: tables, columns, states of a message. The Delta schema, the comments in DuckDB, Dagster's column
schema and `docs/tables.md` are derived from it. What does not: the queries that make a table (`sql/` of each room),
how it is stored (`pipeline/lake`), and the views (`views`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SqlType = Literal[
    "VARCHAR",
    "TIMESTAMPTZ",
    "DATE",
    "BOOLEAN",
    "INTEGER",
    "BIGINT",
    "DOUBLE",
    "DECIMAL(24,12)",
    "MAP(VARCHAR, VARCHAR)",
]

PARTITION_KEY: Final = "sent_date"

OPEN_STATUSES: Final = ("sending", "not_found")
"""States of an answer that is not final; silence turns them into unknown."""

DELIVERY_STATUSES: Final = ("delivered", "failed", "sending", "not_found", "pending", "unknown", "invalid_id")
"""The states of a message; their counts sum to `sent` in every row of a rate table."""
FINAL_STATUSES: Final = ("delivered", "failed", "invalid_id")
"""States after which a message is not asked for again."""


@dataclass(frozen=True)
class Column:
    """A column: its name, DuckDB type and meaning.

    Attributes:
        repeats: many rows share a value, so its Parquet column gets a dictionary.
        since: layout of files that have it: a lake may hold files of earlier layouts, which don't.
    """

    name: str
    type: SqlType
    meaning: str
    repeats: bool = True
    since: int = 1


@dataclass(frozen=True)
class Table:
    """A table: its name, what a row is, its columns in order, and the key that makes a row unique.

    Attributes:
        is_partitioned: one folder per `sent_date`, whose files omit that column; else a file holds any days.
        logged_maxima: columns whose maximum per file is kept in the Delta log, so that the file need not be opened.
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    is_partitioned: bool = True
    logged_maxima: tuple[str, ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def stored_columns(self) -> tuple[Column, ...]:
        """Columns in the Parquet files; the partition key is in the folder name instead."""
        return tuple(c for c in self.columns if not (self.is_partitioned and c.name == PARTITION_KEY))

    @property
    def layout(self) -> int:
        """Layout of new files."""
        return max(column.since for column in self.columns)

    @property
    def partition_keys(self) -> list[str]:
        """Columns that name the folders."""
        return [PARTITION_KEY] if self.is_partitioned else []


_APP_ID = Column("app_id", "VARCHAR", "appId that the message was sent with.")
_MSG_ID = Column("msg_id", "VARCHAR", "The platform's id of the message: digits, as text.", repeats=False)
_NUMBER = Column(
    "number", "VARCHAR", "Phone number with calling code, as SMS_NUMBERS says; null if unknown.", repeats=False
)
_COUNTRY = Column("country", "VARCHAR", "Country of the number, ISO 3166-1 alpha-2; null if unknown.")
_SENDER_ID = Column("sender_id", "VARCHAR", "Sender shown to the recipient, from the sent log; null if not logged.")
_ORDER_ID = Column("order_id", "VARCHAR", "Order id, from the sent log; null if not logged.", repeats=False)
_SENT_AT = Column(
    "sent_at", "TIMESTAMPTZ", "When the message was sent, from the sent log; stored in UTC.", repeats=False
)
_SENT_DATE = Column("sent_date", "DATE", "Day of sending in the time zone SMS_TIMEZONE; the partition key.")
_LABELS = Column(
    "labels",
    "MAP(VARCHAR, VARCHAR)",
    "Fields of the sent log named in SMS_SENT_LOG_LABELS, by these names: labels['campaign']; null if it has none.",
    since=2,
)
_CALL_ID = Column("call_id", "VARCHAR", "Call that brought this answer: a row of api_calls.")

SENT_MESSAGES: Final = Table(
    "sent_messages",
    "One row per sent message, as its log says now. A log that vanishes or shrinks removes none.",
    (
        _APP_ID,
        _MSG_ID,
        _NUMBER,
        _COUNTRY,
        _SENDER_ID,
        _ORDER_ID,
        _SENT_AT,
        _SENT_DATE,
        Column("file", "VARCHAR", "Path of the sent log that holds the record."),
        Column("line", "BIGINT", "Line where the record starts (Parquet: row number), from 1.", repeats=False),
        _LABELS,
    ),
    ("app_id", "msg_id"),
)

DELIVERY_REPORTS: Final = Table(
    "delivery_reports",
    "One row per answer: what getReport said of one id in one call, not_found included. Rows are never removed; they "
    "follow a message whose log corrects its app or day.",
    (
        _APP_ID,
        _MSG_ID,
        _NUMBER,
        _COUNTRY,
        Column(
            "status",
            "VARCHAR",
            "The platform's verdict: delivered (0), failed (1), sending (-1, or an undocumented code), "
            "not_found (missing from the response: queued or unknown), invalid_id (refused with -14).",
        ),
        Column(
            "receive_time",
            "TIMESTAMPTZ",
            "receiveTime of the answer, stored in UTC; null if empty, unreadable or without offset.",
            repeats=False,
        ),
        Column("observed_at", "TIMESTAMPTZ", "When the response arrived here; stored in UTC."),
        _CALL_ID,
        Column("extra", "VARCHAR", "Fields that the protocol does not name, as JSON text; null if there are none."),
        _SENT_DATE,
    ),
    ("app_id", "msg_id", "call_id"),
    logged_maxima=("observed_at",),
)

MESSAGES: Final = Table(
    "messages",
    "One row per sent message, with its current state.",
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
            "pending (never asked), sending, not_found (asked, no report: queued or not known to the platform), "
            "delivered, failed, unknown (no final answer SMS_UNKNOWN_AFTER_HOURS after sending), "
            "invalid_id (the API refuses the id).",
        ),
        Column("is_final", "BOOLEAN", "True for delivered, failed and invalid_id: the message is not asked for again."),
        Column(
            "receive_time",
            "TIMESTAMPTZ",
            "receiveTime of the answer that decided the state, stored in UTC. The vendor's English page calls it "
            "receive time, its Chinese page send time.",
            repeats=False,
        ),
        Column(
            "latency_seconds",
            "DOUBLE",
            "receive_time - sent_at, in seconds, by two clocks: it can be negative.",
            repeats=False,
        ),
        Column("poll_count", "INTEGER", "Number of answers for this message, not_found included."),
        Column("first_polled_at", "TIMESTAMPTZ", "When the first answer arrived, stored in UTC; null if never asked."),
        Column("last_polled_at", "TIMESTAMPTZ", "When the latest answer arrived, stored in UTC; null if never asked."),
        _LABELS,
        Column(
            "price",
            "DECIMAL(24,12)",
            "pricedetail.price of the latest answer that has a pricedetail, exact to 12 decimals; null if there is "
            "none, or it is no decimal.",
            since=3,
        ),
        Column(
            "pay", "DECIMAL(24,12)", "pricedetail.pay of that answer, exact to 12 decimals: what was paid.", since=3
        ),
        Column("currency", "VARCHAR", "pricedetail.currency of that answer; null if it is not text.", since=3),
        Column(
            "charge_count",
            "BIGINT",
            "pricedetail.chargeCnt of that answer: how many parts of the message were charged.",
            since=3,
        ),
        Column(
            "failure_reason",
            "VARCHAR",
            "Why a failed message failed, as the platform pushed it; null if it did not, or the state is another.",
            since=4,
        ),
        Column(
            "network",
            "VARCHAR",
            "Mobile country code and network code as pushed, 404-45; null if nothing was pushed.",
            since=4,
        ),
        Column(
            "network_name",
            "VARCHAR",
            "Operator of that network; null if it is not in the list of well-known ones.",
            since=4,
        ),
    ),
    ("app_id", "msg_id"),
)

PUSHED_REPORTS: Final = Table(
    "pushed_reports",
    "One row per report that the platform pushed, repeated ones too. They are unsigned: a report decides no state.",
    (
        _APP_ID,
        _MSG_ID,
        _NUMBER,
        Column("status", "VARCHAR", "What was pushed: delivered (0), else failed."),
        Column("reason", "VARCHAR", "The platform's words for it; phone numbers are hidden. Null if empty."),
        Column("mcc", "VARCHAR", "Mobile country code; null if not pushed."),
        Column("mnc", "VARCHAR", "Mobile network code; null if not pushed."),
        Column(
            "reported_at",
            "TIMESTAMPTZ",
            "timestamp of the push, stored in UTC; the vendor's pages disagree whether it is send or receive time.",
            repeats=False,
        ),
        Column("received_at", "TIMESTAMPTZ", "When the push arrived here; stored in UTC.", repeats=False),
        Column("price", "DECIMAL(24,12)", "Price, as pushed; null if not pushed."),
        Column("pay", "DECIMAL(24,12)", "Amount paid, as pushed; null if not pushed."),
        Column("currency", "VARCHAR", "Currency, as pushed; null if not pushed."),
        Column("charge_count", "BIGINT", "Number of charged parts, as pushed; null if not pushed."),
        Column("extra", "VARCHAR", "Fields that the protocol does not name, as JSON text; null if there are none."),
        Column(
            "sent_date",
            "DATE",
            "Day of sending of its message, the partition key; null if no log has the message (unlogged).",
        ),
    ),
    ("app_id", "msg_id", "status", "received_at"),
)

API_CALLS: Final = Table(
    "api_calls",
    "One row per call: a batch of ids asked for until it was answered or given up. Each half of a split batch is "
    "a call of its own.",
    (
        Column("call_id", "VARCHAR", "Id of the call."),
        _APP_ID,
        Column(
            "sent_date",
            "DATE",
            "Earliest day of sending of the messages asked for, in the time zone SMS_TIMEZONE.",
        ),
        Column(
            "days",
            "INTEGER",
            "Number of days of sending that the batch holds ids of; null in rows of earlier versions.",
            since=2,
        ),
        Column("requested_at", "TIMESTAMPTZ", "When the first request of the call started; stored in UTC."),
        Column("ids", "INTEGER", "Number of ids in the batch."),
        Column("http_status", "INTEGER", "HTTP status of the last response; null if none arrived."),
        Column("status", "VARCHAR", "Status code in the body of the last response; null if none arrived."),
        Column("reason", "VARCHAR", "Reason in the body of the last response; secrets and phone numbers are hidden."),
        Column("success", "BIGINT", "Delivered messages in the batch, as the platform counts them."),
        Column("fail", "BIGINT", "Failed messages in the batch, as the platform counts them."),
        Column("sending", "BIGINT", "Messages being sent in the batch, as the platform counts them."),
        Column(
            "not_found",
            "BIGINT",
            "Ids without a report in the batch, as the platform counts them; queued messages included.",
        ),
        Column("attempts", "BIGINT", "Number of requests made for this call, repeated ones included."),
        Column("elapsed_ms", "BIGINT", "Time from the first request to the outcome, waits included, in milliseconds."),
        Column(
            "outcome",
            "VARCHAR",
            "ok, mismatch (the platform's counts or rows disagree with the ids asked), split (-14: asked again in "
            "halves), gave_up (no usable response in this run), refused (the platform refuses the app or the request).",
        ),
        Column("error", "VARCHAR", "What went wrong, in words; null if nothing did."),
    ),
    ("call_id",),
)

REJECTED_RECORDS: Final = Table(
    "rejected_records",
    "One row per record that was rejected, with the reason.",
    (
        Column("source", "VARCHAR", "Where the record came from: sent_log, api or push."),
        Column("file", "VARCHAR", "Path of the sent log; for push the name of the file, for api the call_id."),
        Column("line", "BIGINT", "Line where the record starts (Parquet: row number), from 1; null for api."),
        Column("item", "BIGINT", "Position of the message in its line, or of the row in its response, from 0."),
        Column("reason", "VARCHAR", "A code, a colon, and what was wrong; docs/sent-logs.md lists the codes."),
        Column("raw", "VARCHAR", "Recognised fields as JSON text; null if the line can't be parsed."),
        Column(
            "sent_date", "DATE", "Date of the file, or sent_date of the call; null if the file pattern has no {date}."
        ),
        Column("rejected_at", "TIMESTAMPTZ", "When the record was rejected; stored in UTC."),
    ),
    ("source", "file", "line", "item"),
)

PLATFORM_RECORD: Final = Table(
    "platform_record",
    "One row per message in the platform's own record of what was sent (getSentRcd), as `sms-delivery reconcile` last "
    "read it. It decides no state.",
    (
        _APP_ID,
        _MSG_ID,
        _NUMBER,
        _COUNTRY,
        Column("status", "VARCHAR", "The record's verdict: success (0), failed (2), undocumented (any other code)."),
        Column(
            "receive_time",
            "TIMESTAMPTZ",
            "receiveTime of the record, stored in UTC; null if empty, unreadable or without offset.",
            repeats=False,
        ),
        Column("read_at", "TIMESTAMPTZ", "When reading the day of the record began; stored in UTC."),
        Column("extra", "VARCHAR", "Fields that the protocol does not name, as JSON text; null if there are none."),
        Column("sent_date", "DATE", "Day of the record in the time zone SMS_TIMEZONE; the partition key."),
    ),
    ("app_id", "msg_id"),
)
RECORD_READS: Final = Table(
    "record_reads",
    "One row per app and day of which the platform's record was read to its end; the latest reading.",
    (
        _APP_ID,
        Column("sent_date", "DATE", "Day of the record in the time zone SMS_TIMEZONE; the partition key."),
        Column("starts_at", "TIMESTAMPTZ", "Start of the span that was read: of the day; stored in UTC."),
        Column("ends_at", "TIMESTAMPTZ", "End of the span: of the day, or now if it goes on; stored in UTC."),
        Column("read_at", "TIMESTAMPTZ", "When the reading began; stored in UTC."),
        Column(
            "settled_before",
            "TIMESTAMPTZ",
            "read_at less SMS_UNKNOWN_AFTER_HOURS: what was sent before was no longer under way; stored in UTC.",
        ),
        Column("recorded", "BIGINT", "Number of messages in the record: rows of platform_record."),
        Column(
            "missing",
            "BIGINT",
            "Messages that the platform counts (success and fail) and gives no row of; null if it does not count.",
        ),
        Column("requests", "BIGINT", "Number of requests made, repeated ones included."),
    ),
    ("app_id", "sent_date"),
)

_AMOUNT: Final = (
    ", exact to 12 decimals, in the account's currency, which the platform does not name; null if unreadable."
)
ACCOUNT_BALANCE: Final = Table(
    "account_balance",
    "One row per account and app each time that the balance was asked for (getBalance), at most once an hour.",
    (
        Column("account", "VARCHAR", "Fingerprint of base URL and key: tells accounts apart, and not the key."),
        Column(
            "app_id",
            "VARCHAR",
            "appId that SMS_ACCOUNTS names the account for; null for the account of all other apps.",
        ),
        Column("balance", "DECIMAL(24,12)", "Balance" + _AMOUNT),
        Column("gift", "DECIMAL(24,12)", "Balance given as a gift" + _AMOUNT),
        Column("credit", "DECIMAL(24,12)", "Credit" + _AMOUNT),
        Column(
            "spend_per_day",
            "DECIMAL(24,12)",
            "What the account's messages cost a day, on average of the last 7 whole days of sending at most; null "
            "where no answer has a price, or prices are in several currencies.",
        ),
        Column("currency", "VARCHAR", "Currency of these prices; null if unknown."),
        Column("observed_at", "TIMESTAMPTZ", "When the balance arrived; stored in UTC."),
        Column("sent_date", "DATE", "Day of observed_at in the time zone SMS_TIMEZONE; the partition key."),
    ),
    ("account", "app_id", "observed_at"),
    logged_maxima=("observed_at",),
)

_COUNTS: Final = (
    Column("sent", "BIGINT", "Number of messages sent in this bucket, by time of sending."),
    Column("delivered", "BIGINT", "Of those: delivered."),
    Column("failed", "BIGINT", "Of those: failed."),
    Column("sending", "BIGINT", "Of those: being sent, by the latest answer."),
    Column("not_found", "BIGINT", "Of those: without a report in the latest answer (queued or unknown)."),
    Column("pending", "BIGINT", "Of those: never asked."),
    Column("unknown", "BIGINT", "Of those: no final answer SMS_UNKNOWN_AFTER_HOURS after sending."),
    Column("invalid_id", "BIGINT", "Of those: the API refuses the id."),
)
RATES: Final = (
    Column(
        "delivery_rate",
        "DOUBLE",
        "delivered / sent, 0 to 1; null if none was ever asked for. Young buckets read low: see is_mature.",
    ),
    Column("delivery_rate_final", "DOUBLE", "delivered / (delivered + failed), 0 to 1; null if both are 0."),
    Column(
        "dlr_coverage",
        "DOUBLE",
        "(delivered + failed) / sent, 0 to 1: share with a final report; null if none was ever asked for.",
    ),
)
_LATENCY_NOTE: Final = (
    " of delivered messages, in seconds from sent_at to the platform's receive time (the vendor's pages disagree "
    "whether that is receive or send time). Percentiles of several rows can't be combined."
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
        "True if the bucket's day or hour is over, every message was asked for, and each is final or older than "
        "SMS_UNKNOWN_AFTER_HOURS.",
    ),
)
_SENT_HOUR: Final = Column(
    "sent_hour",
    "TIMESTAMPTZ",
    "Start of the hour of sending in SMS_TIMEZONE, stored in UTC; an hour that clocks repeat is two hours.",
)
_DIMENSION: Final = (
    Column(
        "dimension",
        "VARCHAR",
        "What the bucket groups by: all, app_id, country, sender_id, label:NAME; where reports were pushed also "
        "network and failure_reason.",
    ),
    Column(
        "value",
        "VARCHAR",
        "The app, country, sender, label, network or reason of the bucket; null for all, and if unknown. Of a label, a "
        "network or a reason the 200 most frequent values of a day, the rest as (other).",
    ),
)

DELIVERY_RATES_DAILY: Final = Table(
    "delivery_rates_daily",
    "One row per day of sending, app, country and sender.",
    (_SENT_DATE, _APP_ID, _COUNTRY, _SENDER_ID, *MEASURES),
    ("sent_date", "app_id", "country", "sender_id"),
)
DELIVERY_RATES_HOURLY: Final = Table(
    "delivery_rates_hourly",
    "One row per hour of sending, app, country and sender.",
    (_SENT_DATE, _SENT_HOUR, _APP_ID, _COUNTRY, _SENDER_ID, *MEASURES),
    ("sent_date", "sent_hour", "app_id", "country", "sender_id"),
)
DELIVERY_ROLLUPS_DAILY: Final = Table(
    "delivery_rollups_daily",
    "One row per day of sending, and one per app, country, sender and label of that day.",
    (_SENT_DATE, *_DIMENSION, *MEASURES),
    ("sent_date", "dimension", "value"),
    logged_maxima=("sent", *FINAL_STATUSES),  # the row of the whole day has the maximum
)
DELIVERY_ROLLUPS_HOURLY: Final = Table(
    "delivery_rollups_hourly",
    "One row per hour of sending, and one per app, country, sender and label of that hour.",
    (_SENT_DATE, _SENT_HOUR, *_DIMENSION, *MEASURES),
    ("sent_date", "sent_hour", "dimension", "value"),
)

RATE_TABLES: Final = (DELIVERY_RATES_DAILY, DELIVERY_RATES_HOURLY, DELIVERY_ROLLUPS_DAILY, DELIVERY_ROLLUPS_HOURLY)
RATE_PUBLICATIONS: Final = Table(
    "rate_publications",
    "One row per published version of a mature row of delivery_rollups_daily: the first one, and each that differs "
    "from the one before. Rows are added, never removed; the view revisions shows the changes.",
    (
        Column("publication", "BIGINT", "Number of the publication that recorded the row: 1, 2, …"),
        Column("published_at", "TIMESTAMPTZ", "When that publication was made; stored in UTC."),
        *DELIVERY_ROLLUPS_DAILY.columns,
    ),
    (*DELIVERY_ROLLUPS_DAILY.key, "publication"),
    is_partitioned=False,
)

RECORD_TABLES: Final = (PLATFORM_RECORD, RECORD_READS)
"""Tables that `sms-delivery reconcile` fills."""
DETAIL_TABLES: Final = (
    MESSAGES,
    SENT_MESSAGES,
    DELIVERY_REPORTS,
    PUSHED_REPORTS,
    API_CALLS,
    REJECTED_RECORDS,
    *RECORD_TABLES,
    ACCOUNT_BALANCE,
    RATE_PUBLICATIONS,
)
"""Tables that the published file shows as views of the lake's Parquet files."""
LAKE_TABLES: Final = (*DETAIL_TABLES, *RATE_TABLES)

SNAPSHOT_INFO: Final = Table(
    "snapshot_info",
    "One row per table of this snapshot.",
    (
        Column("table_name", "VARCHAR", "Name of the table."),
        Column("rows", "BIGINT", "Number of its rows in this snapshot."),
        Column("lake_version", "BIGINT", "Version of the Delta table that was read; null if the lake has none."),
        Column("published_at", "TIMESTAMPTZ", "When this snapshot was published; stored in UTC."),
        Column(
            "data_as_of",
            "TIMESTAMPTZ",
            "Latest observed_at of delivery_reports, stored in UTC; null before the first answer.",
        ),
        Column("time_zone", "VARCHAR", "Time zone of days and hours (SMS_TIMEZONE)."),
        Column("pipeline_version", "VARCHAR", "Version of sms-delivery that published the snapshot."),
        Column(
            "messages_from",
            "DATE",
            "First day of which messages are kept (SMS_KEEP_DAYS), null if none were dropped; older days have rates "
            "alone.",
        ),
    ),
    ("table_name",),
)
