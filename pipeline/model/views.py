"""The ready-made views of the published file: name, what a row is, formula, columns.

What belongs here: the texts, which become comments in DuckDB and a part of `docs/tables.md`. What does not: the
queries (`pipeline/publish/sql/views/NAME.sql`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class View:
    """A view: its name, what a row is and by which formula, and the meaning of each column."""

    name: str
    row: str
    columns: dict[str, str]


_COUNTS: Final = {
    "sent": "Number of messages sent.",
    "delivered": "Of those: delivered.",
    "failed": "Of those: failed.",
    "outstanding": "Of those: sending, not_found or pending; a final answer may still come.",
    "unknown": "Of those: no final answer SMS_UNKNOWN_AFTER_HOURS after sending.",
    "invalid_id": "Of those: the API refuses the id.",
    "delivery_rate": "delivered / sent, 0 to 1; null if sent is 0. Young rows read low: see is_mature.",
    "delivery_rate_final": "delivered / (delivered + failed), 0 to 1; null if both are 0.",
    "dlr_coverage": "(delivered + failed) / sent, 0 to 1: share with a final report; null if sent is 0.",
}
_PERCENTILES: Final = {
    "latency_p50_seconds": "Median latency of delivered messages, in seconds from sent_at to the platform's receive "
    "time; null if no such time is known.",
    "latency_p95_seconds": "95th percentile of that latency, in seconds.",
    "latency_p99_seconds": "99th percentile of that latency, in seconds.",
}
_MATURE: Final = {
    "is_mature": "True if every message is final or older than SMS_UNKNOWN_AFTER_HOURS. Only late answers and late "
    "logs change such a row; the view revisions shows when."
}
_RATES: Final = (
    "sent = delivered + failed + outstanding + unknown + invalid_id; delivery_rate = delivered / sent; "
    "delivery_rate_final = delivered / (delivered + failed); dlr_coverage = (delivered + failed) / sent; null if the "
    "denominator is 0. By time of sending, as of data_as_of in snapshot_info."
)
_SPAN: Final = (
    "Length of the span in days: 1, 7, 28, or null for all days. Each span ends with the latest day of sending in the "
    "file, mature or not."
)
_SENT_DATE: Final = {"sent_date": "Day of sending in the time zone SMS_TIMEZONE."}
_COUNTRY: Final = {"country": "Country of the number, ISO 3166-1 alpha-2; null if unknown."}
_SENDER: Final = {"sender_id": "Sender shown to the recipient; null if not logged."}
_BUCKET: Final = {
    "dimension": "What the bucket groups by: all, app_id, country or sender_id.",
    "value": "The app, country or sender of the bucket; null for all, and if unknown.",
}
_MESSAGE: Final = {
    "app_id": "appId that the message was sent with.",
    "msg_id": "The platform's id of the message.",
} | _SENT_DATE

VIEWS: Final = (
    View(
        "delivery_by_day",
        f"One row per day of sending, over all apps, countries and senders; percentiles are exact. {_RATES}",
        _SENT_DATE | _COUNTS | _PERCENTILES | _MATURE,
    ),
    View(
        "delivery_by_country",
        f"One row per country and span of days; rates are those of the summed counts. {_RATES}",
        {"days": _SPAN} | _COUNTRY | _COUNTS | _MATURE,
    ),
    View(
        "delivery_by_sender",
        f"One row per sender and span of days; rates are those of the summed counts. {_RATES}",
        {"days": _SPAN} | _SENDER | _COUNTS | _MATURE,
    ),
    View(
        "delivery_by_hour_of_day",
        "One row per hour of the day (time zone SMS_TIMEZONE), over the 28 days that end with the latest day of "
        f"sending; rates are those of the summed counts. {_RATES}",
        {"hour_of_day": "0 to 23, local to SMS_TIMEZONE; an hour that clocks repeat is counted with both passes."}
        | _COUNTS
        | _MATURE,
    ),
    View(
        "worst_movers",
        "One row per mature bucket with at least 250 messages with a usual rate: newest day first, then the largest "
        "drop. usual_rate = average of delivery_rate on the same weekday of the four weeks before, of mature buckets "
        "with at least 250 messages, each week with the same weight. relative_change = (delivery_rate - usual_rate) / "
        "usual_rate; is_drop = relative_change <= -0.25. As of data_as_of in snapshot_info.",
        _SENT_DATE
        | _BUCKET
        | {
            "sent": "Number of messages sent; at least 250.",
            "delivery_rate": "delivered / sent of this day, 0 to 1.",
            "usual_rate": "Average of delivery_rate 7, 14, 21 and 28 days before, of the mature buckets among them "
            "with at least 250 messages.",
            "weeks": "Number of weeks in that average, 1 to 4; an average of one week says little.",
            "relative_change": "(delivery_rate - usual_rate) / usual_rate; null if usual_rate is 0.",
            "is_drop": "True if relative_change is -0.25 or less: a relative drop of at least 25 %.",
        },
    ),
    View(
        "backlog",
        "One row per age class and state of the messages that are not final, with their count. Age = published_at in "
        "snapshot_info - sent_at; states as of data_as_of in snapshot_info.",
        {
            "age": "Age at publication: under 1 hour, 1 to 24 hours, 1 to 3 days, 3 to 7 days, over 7 days; the lower "
            "bound belongs to the class.",
            "delivery_status": "State: pending, sending, not_found or unknown.",
            "messages": "Number of messages in this class and state.",
            "oldest_sent_at": "Earliest sent_at of these messages; stored in UTC.",
            "last_polled_at": "Latest time at which one of them was answered, stored in UTC; null if none was.",
        },
    ),
    View(
        "message_history",
        "One row per answer, numbered per message in the order of arrival. Filter by msg_id and sent_date. "
        "seconds_since_sent = observed_at - sent_at.",
        _MESSAGE
        | {
            "sent_at": "When the message was sent; stored in UTC.",
            "poll": "Number of the answer, from 1.",
            "observed_at": "When the answer arrived; stored in UTC.",
            "status": "The platform's verdict, as in delivery_reports.",
            "receive_time": "receiveTime of the answer; stored in UTC.",
            "seconds_since_sent": "observed_at - sent_at, in seconds.",
            "call_id": "Call that brought the answer: a row of api_calls.",
        },
    ),
    View(
        "message_prices",
        "One row per message with a pricedetail, from its latest answer that has one; not every platform of the family "
        "sends it. Decimals are as the platform wrote them, null if unreadable. Add pay within one currency only. "
        "Filter by sent_date.",
        _MESSAGE
        | _COUNTRY
        | _SENDER
        | {
            "delivery_status": "State of the message, as in messages; failed messages may be charged too.",
            "price": "pricedetail.price, exact to 12 decimals: DECIMAL(24, 12).",
            "pay": "pricedetail.pay, exact to 12 decimals: DECIMAL(24, 12).",
            "currency": "pricedetail.currency as the platform wrote it; null if it is not text.",
            "charge_count": "pricedetail.chargeCnt: how many parts of the message were charged.",
            "observed_at": "When the answer with the price arrived; stored in UTC.",
        },
    ),
    View(
        "revisions",
        "One row per measure that changed in a daily bucket after the bucket was published as mature (late answer, "
        "late log, rates derived again), newest first: its values in two successive rows of rate_publications.",
        {"revised_at": "When the changed value was published; stored in UTC."}
        | _SENT_DATE
        | _BUCKET
        | {
            "measure": "Column of delivery_rollups_daily that changed; is_mature is shown as 1 or 0.",
            "from_value": "Value published before; null if there was none.",
            "to_value": "Value published now; null if there is none; counts are 0 if the bucket is gone.",
        },
    ),
    View(
        "api_health",
        "One row per app and hour (UTC) with calls, from api_calls: calls by outcome, requests_per_batch = requests / "
        "batches (1 is best), exact percentiles of elapsed_ms.",
        {
            "hour": "Start of the hour (UTC) of requested_at.",
            "app_id": "appId that was asked for.",
            "batches": "Number of batches asked for: calls.",
            "requests": "Number of requests made for them: sum of attempts.",
            "ids": "Number of ids asked for.",
            "ok": "Calls with outcome ok.",
            "mismatch": "Calls with outcome mismatch.",
            "split": "Calls with outcome split.",
            "gave_up": "Calls with outcome gave_up.",
            "refused": "Calls with outcome refused.",
            "requests_per_batch": "requests / batches; above 1 if requests were repeated.",
            "elapsed_p50_ms": "Median of elapsed_ms, waits included, in milliseconds.",
            "elapsed_p95_ms": "95th percentile of elapsed_ms, waits included, in milliseconds.",
        },
    ),
)
