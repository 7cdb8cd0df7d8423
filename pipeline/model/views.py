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
    "delivery_rate": "delivered / sent; null where sent is 0. Young rows read low: see is_mature.",
    "delivery_rate_final": "delivered / (delivered + failed); null where both are 0.",
    "dlr_coverage": "(delivered + failed) / sent: share with a delivery report; null where sent is 0.",
}
_PERCENTILES: Final = {
    "latency_p50_seconds": "Median latency of delivered messages, in seconds, by the platform's receive time; null "
    "where none is known.",
    "latency_p95_seconds": "95th percentile of the same.",
    "latency_p99_seconds": "99th percentile of the same.",
}
_MATURE: Final = {
    "is_mature": "True when every message is final or older than SMS_UNKNOWN_AFTER_HOURS: the row changes no more, "
    "but for late answers and late logs (view revisions)."
}
_RATES: Final = (
    "sent = delivered + failed + outstanding + unknown + invalid_id; delivery_rate = delivered / sent; "
    "delivery_rate_final = delivered / (delivered + failed); dlr_coverage = (delivered + failed) / sent; null where "
    "the denominator is 0. By time of sending, as of data_as_of in snapshot_info."
)
_SPAN: Final = (
    "Length of the span in days: 1, 7, 28, or null for all days. Each ends with the latest day of sending in the file, "
    "whether it is mature or not."
)

VIEWS: Final = (
    View(
        "delivery_by_day",
        f"One row a day of sending, all apps, countries and senders together; exact percentiles. {_RATES}",
        {"sent_date": "Day of sending in the zone SMS_TIMEZONE."} | _COUNTED | _PERCENTILES | _MATURE,
    ),
    View(
        "delivery_by_country",
        f"One row a country and a span of days that ends with the latest; rates are of the summed counts. {_RATES}",
        {
            "days": _SPAN,
            "country": "ISO 3166-1 alpha-2; null where the number does not tell.",
        }
        | _COUNTED
        | _MATURE,
    ),
    View(
        "delivery_by_sender",
        f"One row a sender and a span of days that ends with the latest; rates are of the summed counts. {_RATES}",
        {
            "days": _SPAN,
            "sender_id": "Sender; null where not logged.",
        }
        | _COUNTED
        | _MATURE,
    ),
    View(
        "delivery_by_hour_of_day",
        "One row an hour of the day (zone SMS_TIMEZONE), over the 28 days that end with the latest day of sending; "
        f"rates are of the summed counts. {_RATES}",
        {"hour_of_day": "0 to 23, local: an hour that clocks repeat counts twice, one that they skip not at all."}
        | _COUNTED
        | _MATURE,
    ),
    View(
        "worst_movers",
        "One row a day and all, app, country or sender in it, newest day first, in it the worst first: delivery_rate "
        "against usual_rate = average of delivery_rate on the same weekday of the four weeks before, each week alike. "
        "Only mature buckets with at least 250 messages are compared, and averaged. relative_change = "
        "(delivery_rate - usual_rate) / usual_rate; is_drop = relative_change <= -0.25. As of data_as_of in "
        "snapshot_info.",
        {
            "sent_date": "Day of sending in the zone SMS_TIMEZONE.",
            "dimension": "What the bucket is cut by: all, app_id, country or sender_id.",
            "value": "The app, country or sender; null for all, and where it is not known.",
            "sent": "Messages sent; at least 250.",
            "delivery_rate": "delivered / sent of this day.",
            "usual_rate": "Average of delivery_rate 7, 14, 21 and 28 days before, of those that are mature with at "
            "least 250 messages.",
            "weeks": "How many of these four there are, 1 to 4: an average of one says little.",
            "relative_change": "(delivery_rate - usual_rate) / usual_rate; null where usual_rate is 0.",
            "is_drop": "True where relative_change is -0.25 or less: a drop of at least 25 % relative.",
        },
    ),
    View(
        "backlog",
        "One row a class of age and state of messages that are not final, with their count. Age = published_at in "
        "snapshot_info - sent_at; states as of data_as_of there.",
        {
            "age": "Age at publication: under 1 hour, 1 to 24 hours, 1 to 3 days, 3 to 7 days, over 7 days; each from "
            "its lower bound on.",
            "delivery_status": "State: pending, sending, not_found or unknown.",
            "messages": "Messages in this class.",
            "oldest_sent_at": "When the oldest of them was sent.",
            "last_polled_at": "When one of them was last asked for; null where none was.",
        },
    ),
    View(
        "message_history",
        "One row an answer for a message, numbered by poll in the order they came; filter by msg_id and sent_date. "
        "seconds_since_sent = observed_at - sent_at.",
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
            "call_id": "Batch (row of api_calls) that brought the answer.",
        },
    ),
    View(
        "message_prices",
        "One row a message for which the platform sent pricedetail (not every platform of the family does), from the "
        "latest answer that has it; decimals as the platform wrote them, null where they can't be read. Sum pay by "
        "currency, never across. Filter by sent_date.",
        {
            "app_id": "App of the message.",
            "msg_id": "The message.",
            "sent_date": "Its day of sending.",
            "country": "ISO 3166-1 alpha-2; null where the number does not tell.",
            "sender_id": "Sender; null where not logged.",
            "delivery_status": "Its state, as in messages: failed messages may be charged too.",
            "price": "pricedetail.price, exact to 12 decimals: DECIMAL(24, 12).",
            "pay": "pricedetail.pay, exact to 12 decimals: DECIMAL(24, 12).",
            "currency": "pricedetail.currency as the platform wrote it; null where it is not text.",
            "charge_count": "pricedetail.chargeCnt: how often the message was charged, by its parts.",
            "observed_at": "When the answer that says so arrived.",
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
        "One row an app and hour (UTC) of asking, from api_calls: batches counted by outcome, requests_per_batch = "
        "requests / batches (1 is the best), exact percentiles of elapsed_ms.",
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
            "requests_per_batch": "requests / batches; above 1 where some were repeated.",
            "elapsed_p50_ms": "Median of elapsed_ms, in milliseconds, waits included.",
            "elapsed_p95_ms": "95th percentile of elapsed_ms.",
        },
    ),
)
