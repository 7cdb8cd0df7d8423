"""The ready-made views of the published file: name, what a row is and its formula, the query in `sql/views/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class View:
    """A view: its name, what a row is, and by which formula it is made."""

    name: str
    row: str
    columns: dict[str, str]


_COUNTED: Final = {
    "sent": "Messages sent.",
    "delivered": "Of those: delivered.",
    "failed": "Of those: failed.",
    "outstanding": "Of those: sending, not_found or pending: the platform may still say something.",
    "unknown": "Of those: no final answer SMS_UNKNOWN_AFTER_HOURS after sending.",
    "invalid_id": "Of those: id refused by the API.",
    "delivery_rate": "delivered / sent.",
    "delivery_rate_final": "delivered / (delivered + failed); null where both are 0.",
    "dlr_coverage": "(delivered + failed) / sent.",
}
_PERCENTILES: Final = {
    "latency_p50_seconds": "Median latency of delivered messages, in seconds, by the platform's receive time.",
    "latency_p95_seconds": "95th percentile of the same.",
    "latency_p99_seconds": "99th percentile of the same.",
}
_MATURE: Final = {"is_mature": "True when every message is final or older than SMS_UNKNOWN_AFTER_HOURS."}

VIEWS: Final = (
    View(
        "delivery_by_day",
        "One row a day of sending, all apps, countries and senders together, exact percentiles.",
        {"sent_date": "Day of sending in the zone SMS_TIMEZONE."} | _COUNTED | _PERCENTILES | _MATURE,
    ),
    View(
        "delivery_by_country",
        "One row a country and a span of days that ends with the latest; rates are of the summed counts.",
        {
            "days": "Length of the span in days: 1, 7, 28, or null for all days.",
            "country": "ISO 3166-1 alpha-2; null where the number does not tell.",
        }
        | _COUNTED
        | _MATURE,
    ),
    View(
        "delivery_by_sender",
        "One row a sender and a span of days that ends with the latest; rates are of the summed counts.",
        {
            "days": "Length of the span in days: 1, 7, 28, or null for all days.",
            "sender_id": "Sender; null where not logged.",
        }
        | _COUNTED
        | _MATURE,
    ),
    View(
        "delivery_by_hour_of_day",
        "One row a local hour of the day, over the 28 days that end with the latest; rates are of the summed counts.",
        {"hour_of_day": "0 to 23, local."} | _COUNTED | _MATURE,
    ),
    View(
        "backlog",
        "One row a class of age and state of messages that are not final, as of the snapshot.",
        {
            "age": "Age at publication: under 1 hour, 1 to 24 hours, 1 to 3 days, 3 to 7 days, over 7 days.",
            "delivery_status": "State: pending, sending, not_found or unknown.",
            "messages": "Messages in this class.",
            "oldest_sent_at": "When the oldest of them was sent.",
            "last_polled_at": "When one of them was last asked for.",
        },
    ),
    View(
        "message_history",
        "One row an answer for a message, in the order they came; filter by msg_id and sent_date.",
        {
            "app_id": "App of the message.",
            "msg_id": "The message.",
            "sent_date": "Its day of sending.",
            "sent_at": "When it was sent.",
            "poll": "Number of the answer, from 1.",
            "observed_at": "When the answer arrived.",
            "status": "What the platform said.",
            "receive_time": "receiveTime of the answer.",
            "seconds_since_sent": "observed_at - sent_at in seconds.",
            "call_id": "Batch that brought the answer.",
        },
    ),
    View(
        "revisions",
        "One row a measure of a day's bucket that was published as mature and has changed since (a late answer, a late "
        "log, rates derived again), newest first: its values in two successive rows of rate_publications.",
        {
            "revised_at": "When the changed value was published.",
            "sent_date": "Day of sending of the bucket.",
            "dimension": "What the bucket is cut by: all, app_id, country or sender_id.",
            "value": "The app, country or sender; null for all, and where it is not known.",
            "measure": "Column of delivery_rollups_daily that changed; is_mature is 1 or 0.",
            "from_value": "What had been published until then; null where there was none.",
            "to_value": "What was published then; null where there is none, counts 0 where the bucket has gone.",
        },
    ),
    View(
        "api_health",
        "One row an app and hour (UTC) of asking, from api_calls.",
        {
            "hour": "Start of the hour, of requested_at.",
            "app_id": "App asked for.",
            "batches": "Batches asked for.",
            "requests": "Requests made for them: sum of attempts.",
            "ids": "Ids asked for.",
            "ok": "Batches with outcome ok.",
            "mismatch": "Batches with outcome mismatch.",
            "split": "Batches with outcome split.",
            "gave_up": "Batches with outcome gave_up.",
            "refused": "Batches with outcome refused.",
            "requests_per_batch": "requests / batches.",
            "elapsed_p50_ms": "Median of elapsed_ms.",
            "elapsed_p95_ms": "95th percentile of elapsed_ms.",
        },
    ),
)
