"""What the rate tables and the ready-made views should hold, in plain Python: no SQL, no pandas.

Written from the comments of the tables and views. Every function returns rows as dictionaries, in no order.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from statistics import NormalDist
from zoneinfo import ZoneInfo

from tests.oracle.states import Expected, day_end, expected_bucket, expected_state, is_ahead, local_hour, percentile
from tests.support.lakes import Called, Said, Sent, day_of

Row = dict[str, object]
Key = tuple[object, ...]
_MEASURES_RECORDED = (
    "sent", "delivered", "failed", "sending", "not_found", "pending", "unknown", "invalid_id",
    "delivery_rate", "delivery_rate_final", "dlr_coverage",
    "latency_p50_seconds", "latency_p95_seconds", "latency_p99_seconds", "is_mature",
)  # fmt: skip
_NOTHING: Row = dict.fromkeys(_MEASURES_RECORDED[:8], 0) | dict.fromkeys(_MEASURES_RECORDED[8:14]) | {"is_mature": True}


@dataclass(frozen=True)
class Message:
    """A sent message with what became of it."""

    sent: Sent
    state: Expected
    number: str | None
    country: str | None
    day: date
    polled_at: datetime | None


Judged = tuple[datetime, Callable[[Message], datetime]]
"""When buckets are judged, and the end of the bucket that a message is in."""


@dataclass
class Book:
    """All that was told up to now, and what should come of it."""

    zone: ZoneInfo
    unknown_after: timedelta
    labels: Sequence[str] = ()
    sent: list[Sent] = field(default_factory=list)
    answers: list[tuple[Said, date]] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)
    rejects: list[Row] = field(default_factory=list)
    published: list[tuple[datetime, dict[Key, Row]]] = field(default_factory=list)

    def messages(self, now: datetime) -> list[Message]:
        """Return every message in its state as of `now`."""
        said_of: dict[Key, list[Said]] = defaultdict(list)
        for said, _ in self.answers:
            said_of[said.app_id, said.msg_id].append(said)
        return [self._message(sent, said_of[sent.app_id, sent.msg_id], now) for sent in self.sent]

    def _message(self, sent: Sent, said: list[Said], now: datetime) -> Message:
        state = expected_state(sent, said, now=now, unknown_after=self.unknown_after)
        ordered = sorted(said, key=lambda answer: answer.observed_at)
        countries = [answer.country for answer in ordered if answer.country]
        country = sent.country or (countries[-1] if countries else None)
        numbers = [answer.number for answer in ordered if answer.number]
        number = sent.number or (numbers[-1] if numbers else None)
        times = [answer.observed_at for answer in ordered if not is_ahead(answer, now)] or [
            answer.observed_at for answer in ordered
        ]
        polled_at = max(times, default=None)
        return Message(sent, state, number, country, day_of(sent.sent_at, self.zone), polled_at)

    def publish(self, now: datetime) -> None:
        """Note what a publication shows as daily roll-ups."""
        rows = self.tables(now)["delivery_rollups_daily"]
        self.published.append((now, {(r["sent_date"], r["dimension"], r["value"]): r for r in rows}))

    def tables(self, now: datetime) -> dict[str, list[Row]]:
        """Return the four rate tables."""
        messages = self.messages(now)

        def own(m: Message) -> list[Row]:
            return [{"app_id": m.sent.app_id, "country": m.country, "sender_id": m.sent.sender_id}]

        def cuts(m: Message) -> list[Row]:
            values = {"all": None, "app_id": m.sent.app_id, "country": m.country, "sender_id": m.sent.sender_id}
            values |= {f"label:{name}": (m.sent.labels or {}).get(name) for name in self.labels}
            return [{"dimension": dimension, "value": value} for dimension, value in values.items()]

        def of_day(m: Message) -> Row:
            return {"sent_date": m.day}

        def of_hour(m: Message) -> Row:
            return {"sent_date": m.day, "sent_hour": local_hour(m.sent.sent_at, self.zone)}

        return {
            f"delivery_{kind}_{grain}": self._buckets(messages, when, cut, (now, end_of))
            for kind, cut in (("rates", own), ("rollups", cuts))
            for grain, when, end_of in (("daily", of_day, self._day_end), ("hourly", of_hour, self._hour_end))
        }

    def _day_end(self, message: Message) -> datetime:
        return day_end(message.day, self.zone)

    def _hour_end(self, message: Message) -> datetime:
        return local_hour(message.sent.sent_at, self.zone) + timedelta(hours=1)

    def _buckets(
        self,
        messages: list[Message],
        when: Callable[[Message], Row],
        cut: Callable[[Message], list[Row]],
        judged: Judged,
    ) -> list[Row]:
        members: dict[Key, list[Message]] = defaultdict(list)
        keys: dict[Key, Row] = {}
        for message in messages:
            for row in cut(message):
                key = when(message) | row
                members[tuple(key.values())].append(message)
                keys[tuple(key.values())] = key
        return [keys[key] | self._measured(found, judged) for key, found in members.items()]

    def _measured(self, messages: Collection[Message], judged: Judged) -> Row:
        now, end_of = judged
        pairs, ends = [(m.sent, m.state) for m in messages], max(map(end_of, messages))
        return expected_bucket(pairs, ends=ends, now=now, unknown_after=self.unknown_after)

    def views(self, now: datetime) -> dict[str, list[Row]]:
        """Return every ready-made view."""
        messages = self.messages(now)
        rollups = self.tables(now)["delivery_rollups_daily"]
        return {
            "delivery_by_day": self._by_day(messages, now),
            "delivery_by_country": self._by_span(messages, "country", lambda m: m.country, now),
            "delivery_by_sender": self._by_span(messages, "sender_id", lambda m: m.sent.sender_id, now),
            "delivery_by_app": self._by_span(messages, "app_id", lambda m: m.sent.app_id, now),
            "delivery_by_label": self._by_label(messages, now),
            "delivery_by_hour_of_day": self._by_hour(messages, now, lambda _: {}),
            "delivery_by_hour_and_weekday": self._by_hour(messages, now, lambda m: {"weekday": m.day.isoweekday()}),
            "period_over_period": period_over_period(rollups),
            "worst_movers": worst_movers(rollups),
            "backlog": backlog(messages, now),
            "message_history": self._history(),
            "message_prices": (priced := self._prices(messages)),
            "spend_by_day": spend(priced, lambda row: [{"sent_date": row["sent_date"]}]),
            "spend_by_country": spend(priced, spans(messages, "country")),
            "speed_by_country": speed_by_country(messages),
            "failing_numbers": failing_numbers(messages),
            "rejected_by_reason": rejected_by_reason(self.rejects),
            "revisions": revisions(self.published),
            "api_health": api_health(self.calls),
        }

    def _by_day(self, messages: list[Message], now: datetime) -> list[Row]:
        of_day: dict[date, list[Message]] = defaultdict(list)
        for m in messages:
            of_day[m.day].append(m)
        judged = now, self._day_end
        return [{"sent_date": day} | _shown(self._measured(found, judged)) for day, found in of_day.items()]

    def _by_span(
        self, messages: list[Message], name: str, value_of: Callable[[Message], object], now: datetime
    ) -> list[Row]:
        rows: list[Row] = []
        latest = max((m.day for m in messages), default=date.min)
        for days in (1, 7, 28, None):
            within = [m for m in messages if days is None or (latest - m.day).days < days]
            for value in {value_of(m) for m in within}:
                measured = self._measured([m for m in within if value_of(m) == value], (now, self._day_end))
                rows.append({"days": days, name: value} | _without_latency(_shown(measured)))
        return rows

    def _by_label(self, messages: list[Message], now: datetime) -> list[Row]:
        rows: list[Row] = []
        for name in self.labels:
            value_of = partial(_label, name=name)
            rows += [{"label": name} | row for row in self._by_span(messages, "value", value_of, now)]
        return rows

    def _by_hour(self, messages: list[Message], now: datetime, more: Callable[[Message], Row]) -> list[Row]:
        latest = max((m.day for m in messages), default=date.min)
        members: dict[Key, list[Message]] = defaultdict(list)
        keys: dict[Key, Row] = {}
        for m in messages:
            if (latest - m.day).days < 28:
                key = more(m) | {"hour_of_day": m.sent.sent_at.astimezone(self.zone).hour}
                keys[tuple(key.values())] = key
                members[tuple(key.values())].append(m)
        return [
            keys[key] | _without_latency(_shown(self._measured(found, (now, self._hour_end))))
            for key, found in members.items()
        ]

    def _history(self) -> list[Row]:
        sent_at = {(s.app_id, s.msg_id, day_of(s.sent_at, self.zone)): s.sent_at for s in self.sent}
        polls: dict[Key, int] = defaultdict(int)
        rows: list[Row] = []
        for said, day in sorted(self.answers, key=lambda pair: pair[0].observed_at):
            key = (said.app_id, said.msg_id, day)
            polls[key] += 1
            at = sent_at.get(key)
            rows.append(
                {
                    "app_id": said.app_id,
                    "msg_id": said.msg_id,
                    "sent_date": day,
                    "sent_at": at,
                    "poll": polls[key],
                    "observed_at": said.observed_at,
                    "status": said.status,
                    "receive_time": said.receive_time,
                    "seconds_since_sent": (said.observed_at - at).total_seconds() if at else None,
                }
            )
        return rows

    def _prices(self, messages: list[Message]) -> list[Row]:
        details: dict[Key, object] = {}
        for said, _ in sorted(self.answers, key=lambda pair: pair[0].observed_at):
            detail = _price_detail(said.extra)
            if detail is not None:
                details[said.app_id, said.msg_id] = detail
        rows = [_price_row(m, details.get((m.sent.app_id, m.sent.msg_id))) for m in messages]
        return [row for row in rows if row["price"] is not None or row["pay"] is not None]


def _label(message: Message, *, name: str) -> str | None:
    return (message.sent.labels or {}).get(name)


def _shown(measured: Row) -> Row:
    """Return the measures as the views of delivery show them."""
    counts = {name: measured[name] for name in ("sent", "delivered", "failed")}
    outstanding = sum(int(str(measured[name])) for name in ("sending", "not_found", "pending"))
    rest = ("unknown", "invalid_id", *_MEASURES_RECORDED[8:])
    return counts | {"outstanding": outstanding} | {name: measured[name] for name in rest} | _interval(measured)


def _interval(row: Row) -> Row:
    """Return the Wilson interval of a row's rate."""
    if row["delivery_rate"] is None:
        return {"delivery_rate_low": None, "delivery_rate_high": None}
    low, high = wilson(float(str(row["delivery_rate"])), int(str(row["sent"])))
    return {"delivery_rate_low": low, "delivery_rate_high": high}


def wilson(observed: float, n: int) -> tuple[float, float]:
    """Return the rates whose test against the observed one is just not significant: the roots of a quadratic.

    (observed - p)^2 = z^2 p (1 - p) / n, solved for p.
    """
    z = NormalDist().inv_cdf(0.975)
    a, b, c = 1 + z * z / n, -(2 * observed + z * z / n), observed * observed
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    return max(0.0, (-b - root) / (2 * a)), min(1.0, (-b + root) / (2 * a))


def period_over_period(rollups: Sequence[Row]) -> list[Row]:
    """Compare the 7 and 28 days up to the latest mature one with as many before, bucket by bucket."""
    mature = [row for row in rollups if row["is_mature"]]
    of_all = [_day(row) for row in mature if row["dimension"] == "all"]
    rows: list[Row] = []
    for days in (7, 28) if of_all else ():
        buckets: dict[Key, tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
        for row in mature:
            ago = (max(of_all) - _day(row)).days
            if 0 <= ago < 2 * days:
                buckets[row["dimension"], row["value"]][ago >= days].append(row)
        for (dimension, value), (now, before) in buckets.items():
            of_span = _of_span(now) | {f"{name}_before": figure for name, figure in _of_span(before).items()}
            for name in ("delivery_rate_low_before", "delivery_rate_high_before"):
                del of_span[name]
            head: Row = {"days": days, "last_day": max(of_all), "dimension": dimension, "value": value}
            rows.append(head | of_span | _change(now, before))
    return rows


def _of_span(rows: Sequence[Row]) -> Row:
    counts: Row = {name: _total(rows, name) for name in ("sent", "delivered", "failed")}
    rated: Row = counts | {"delivery_rate": _total(rows, "delivered") / _total(rows, "sent") if rows else None}
    return {"mature_days": len(rows)} | rated | _interval(rated)


def _change(now: Sequence[Row], before: Sequence[Row]) -> Row:
    names = ("change_points", "change_points_low", "change_points_high", "delivered_more")
    if not now or not before:
        return dict.fromkeys(names) | {"is_beyond_chance": False}
    sent, sent_before = _total(now, "sent"), _total(before, "sent")
    rate, rate_before = _total(now, "delivered") / sent, _total(before, "delivered") / sent_before
    (low, high), (low_before, high_before) = wilson(rate, sent), wilson(rate_before, sent_before)
    change = rate - rate_before
    below, above = (
        change - math.hypot(rate - low, high_before - rate_before),
        change + math.hypot(high - rate, rate_before - low_before),
    )
    points: Row = dict(zip(names, (100 * change, 100 * below, 100 * above, sent * change), strict=True))
    return points | {"is_beyond_chance": not below <= 0 <= above}


def _day(row: Row) -> date:
    day = row["sent_date"]
    assert isinstance(day, date)
    return day


def _total(rows: Sequence[Row], name: str) -> int:
    return sum(int(str(row[name])) for row in rows)


def _without_latency(row: Row) -> Row:
    return {name: value for name, value in row.items() if not name.startswith("latency")}


def worst_movers(rollups: Sequence[Row]) -> list[Row]:
    """Compare large mature buckets with those of the same weekday of the four weeks before."""
    large: dict[Key, Row] = {
        (row["sent_date"], row["dimension"], row["value"]): row
        for row in rollups
        if row["is_mature"] and isinstance(row["sent"], int) and row["sent"] >= 250
    }
    rows: list[Row] = []
    for (day, dimension, value), row in large.items():
        assert isinstance(day, date)
        before = [large.get((day - timedelta(days=7 * week), dimension, value)) for week in (1, 2, 3, 4)]
        rates = [float(str(found["delivery_rate"])) for found in before if found]
        if rates:
            rate, usual = float(str(row["delivery_rate"])), sum(rates) / len(rates)
            change = (rate - usual) / usual if usual else None
            rows.append(
                {
                    "sent_date": day,
                    "dimension": dimension,
                    "value": value,
                    "sent": row["sent"],
                    "delivery_rate": rate,
                    **_interval(row),
                    "usual_rate": usual,
                    "weeks": len(rates),
                    "relative_change": change,
                    "is_drop": change is not None and change <= -0.25 + 1e-9,
                }
            )
    return rows


def backlog(messages: Iterable[Message], now: datetime) -> list[Row]:
    """Count messages that are not final by age and state."""
    classes: dict[Key, list[Message]] = defaultdict(list)
    for message in messages:
        if not message.state.is_final:
            classes[_age_class(now - message.sent.sent_at), message.state.status].append(message)
    return [
        {
            "age": age,
            "delivery_status": status,
            "messages": len(found),
            "oldest_sent_at": min(m.sent.sent_at for m in found),
            "last_polled_at": max((m.polled_at for m in found if m.polled_at), default=None),
        }
        for (age, status), found in classes.items()
    ]


def _age_class(age: timedelta) -> str:
    if age < timedelta(hours=1):
        return "under 1 hour"
    if age < timedelta(hours=24):
        return "1 to 24 hours"
    if age < timedelta(days=3):
        return "1 to 3 days"
    return "3 to 7 days" if age < timedelta(days=7) else "over 7 days"


def api_health(calls: Iterable[Called]) -> list[Row]:
    """Count batches by app and hour of asking."""
    hours: dict[tuple[datetime, str], list[Called]] = defaultdict(list)
    for call in calls:
        hours[call.requested_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0), call.app_id].append(call)
    return [
        {
            "hour": hour,
            "app_id": app_id,
            "batches": len(found),
            "requests": sum(call.attempts for call in found),
            "ids": sum(call.ids for call in found),
            **{
                outcome: sum(call.outcome == outcome for call in found)
                for outcome in ("ok", "mismatch", "split", "gave_up", "refused")
            },
            "requests_per_batch": sum(call.attempts for call in found) / len(found),
            "ids_per_request": sum(call.ids * call.attempts for call in found) / sum(call.attempts for call in found),
            "elapsed_p50_ms": percentile([call.elapsed_ms for call in found], 0.50),
            "elapsed_p95_ms": percentile([call.elapsed_ms for call in found], 0.95),
        }
        for (hour, app_id), found in hours.items()
    ]


def revisions(published: Sequence[tuple[datetime, dict[Key, Row]]]) -> list[Row]:
    """Follow each bucket from the first publication that showed it as mature."""
    known: dict[Key, Row] = {}
    rows: list[Row] = []
    for now, buckets in published:
        for key in known.keys() | buckets.keys():
            present = buckets.get(key, _NOTHING)
            if key in known:
                rows += [
                    {
                        "revised_at": now,
                        "sent_date": key[0],
                        "dimension": key[1],
                        "value": key[2],
                        "measure": measure,
                        "from_value": known[key][measure],
                        "to_value": present[measure],
                    }
                    for measure in _MEASURES_RECORDED
                    if known[key][measure] != present[measure]
                ]
                known[key] = present
            elif present["is_mature"]:
                known[key] = present
    return rows


def _price_detail(extra: str | None) -> object:
    try:
        return json.loads(extra or "").get("pricedetail")
    except (ValueError, AttributeError):
        return None


def _price_row(m: Message, detail: object) -> Row:
    told = detail if isinstance(detail, dict) else {}
    currency, charged = told.get("currency"), told.get("chargeCnt")
    return {
        "app_id": m.sent.app_id,
        "msg_id": m.sent.msg_id,
        "sent_date": m.day,
        "country": m.country,
        "sender_id": m.sent.sender_id,
        "delivery_status": m.state.status,
        "price": _decimal(told.get("price")),
        "pay": _decimal(told.get("pay")),
        "currency": (currency.strip() or None) if isinstance(currency, str) else None,
        "charge_count": int(str(charged)) if re.fullmatch(r"\d+", str(charged)) else None,
    }


def spans(messages: Sequence[Message], *names: str) -> Callable[[Row], list[Row]]:
    """Return a function that gives the keys of a row in each span of days that it is in."""
    latest = max((m.day for m in messages), default=date.min)

    def keys(row: Row) -> list[Row]:
        ago = (latest - _day(row)).days
        named = {name: row[name] for name in names}
        return [{"days": days} | named for days in (1, 7, 28, None) if days is None or ago < days]

    return keys


def spend(priced: Sequence[Row], keys_of: Callable[[Row], list[Row]]) -> list[Row]:
    """Sum what was paid, by keys and currency."""
    members: dict[Key, list[Row]] = defaultdict(list)
    heads: dict[Key, Row] = {}
    for row in priced:
        for key in keys_of(row) if row["pay"] is not None else ():
            head = key | {"currency": row["currency"]}
            heads[tuple(head.values())] = head
            members[tuple(head.values())].append(row)
    return [heads[key] | _spent(rows) for key, rows in members.items()]


def _spent(rows: Sequence[Row]) -> Row:
    paid = [(row, row["pay"]) for row in rows]
    total = sum((pay for _, pay in paid if isinstance(pay, Decimal)), Decimal(0))
    on_failed = [pay for row, pay in paid if row["delivery_status"] == "failed" and isinstance(pay, Decimal)]
    delivered = sum(row["delivery_status"] == "delivered" for row in rows)
    counted = [row["charge_count"] for row in rows if isinstance(row["charge_count"], int)]
    return {
        "messages": len(rows),
        "parts": sum(counted) if counted else None,
        "delivered": delivered,
        "failed": len(on_failed),
        "pay": total,
        "pay_on_failed": sum(on_failed, Decimal(0)),
        "pay_per_delivered": float(total) / delivered if delivered else None,
    }


def speed_by_country(messages: Sequence[Message]) -> list[Row]:
    """Say which share of the delivered messages arrived within a time, by country and span."""
    members: dict[Key, list[float]] = defaultdict(list)
    keys_of = spans(messages, "country")
    for m in messages:
        if m.state.status == "delivered" and m.state.latency is not None:
            for key in keys_of({"sent_date": m.day, "country": m.country}):
                members[tuple(key.values())].append(m.state.latency)
    return [
        {
            "days": days,
            "country": country,
            "messages": len(found),
            "within_5s_share": sum(seconds <= 5 for seconds in found) / len(found),
            "within_30s_share": sum(seconds <= 30 for seconds in found) / len(found),
            "within_5min_share": sum(seconds <= 300 for seconds in found) / len(found),
            "within_1h_share": sum(seconds <= 3600 for seconds in found) / len(found),
            "latency_p50_seconds": percentile(found, 0.50),
            "latency_p95_seconds": percentile(found, 0.95),
            "latency_p99_seconds": percentile(found, 0.99),
        }
        for (days, country), found in members.items()
    ]


def failing_numbers(messages: Sequence[Message]) -> list[Row]:
    """List numbers to which nothing arrives."""
    latest = max((m.day for m in messages), default=date.min)
    members: dict[str, list[Message]] = defaultdict(list)
    for m in messages:
        if m.number is not None and (latest - m.day).days < 28:
            members[m.number].append(m)
    rows: list[Row] = []
    for number, found in members.items():
        counts = Counter(m.state.status for m in found)
        if counts["failed"] >= 3 and not counts["delivered"]:
            rows.append(
                {
                    "number": number,
                    "country": max((m.country for m in found if m.country), default=None),
                    "sent": len(found),
                    "failed": counts["failed"],
                    "invalid_id": counts["invalid_id"],
                    "not_final": len(found) - counts["failed"] - counts["invalid_id"],
                    "first_sent_at": min(m.sent.sent_at for m in found),
                    "last_sent_at": max(m.sent.sent_at for m in found),
                }
            )
    return rows


def rejected_by_reason(rejects: Sequence[Row]) -> list[Row]:
    """Count rejects by source and code."""
    members: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rejects:
        members[str(row["source"]), str(row["reason"]).partition(":")[0]].append(row)
    return [
        {
            "source": source,
            "code": code,
            "records": len(found),
            "files": len({row["file"] for row in found}),
            "first_date": min((_day(row) for row in found if row["sent_date"]), default=None),
            "last_date": max((_day(row) for row in found if row["sent_date"]), default=None),
            "last_rejected_at": max(at for row in found if isinstance(at := row["rejected_at"], datetime)),
        }
        for (source, code), found in members.items()
    ]


def _decimal(value: object) -> Decimal | None:
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return None
    text = str(value).strip()
    if not re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,2})?", text) or abs(Decimal(text)) >= 10**12:
        return None
    return Decimal(text).quantize(Decimal("1e-12"), ROUND_HALF_UP)
