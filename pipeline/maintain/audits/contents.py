"""Audits of what the lake holds: messages, sums, tallies, records set aside, what is overdue, rates that fell."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Final

from pipeline.derive.days import counted_days
from pipeline.follow.due import asking_rule
from pipeline.follow.polling import API_MEMORY
from pipeline.lake.queries import literal, query, relation, rows_of
from pipeline.lake.snapshots import is_derived, rows_in
from pipeline.maintain.audits.scene import Finding, Scene, judged
from pipeline.model.tables import (
    API_CALLS,
    DELIVERY_REPORTS,
    DELIVERY_ROLLUPS_DAILY,
    MESSAGES,
    RATE_TABLES,
    REJECTED_RECORDS,
    SENT_MESSAGES,
)

OVERDUE: Final = timedelta(hours=2)
"""Time that a message may be due before it counts: eight ticks of the schedule."""
OVERDUE_SEVERE: Final = timedelta(hours=24)
REJECTED_SHARE: Final = 0.01
REJECTED_SHARE_SEVERE: Final = 0.10
REJECTED_FEWEST: Final = 5
"""Records set aside that are no pattern yet."""
RATE_DROP: Final = 0.05
RATE_DEVIATIONS: Final = 4.0
"""Standard errors beyond which a drop is no chance: with a thousand senders one in thirty runs."""
RATE_FEWEST: Final = 100
RATE_DAYS: Final = 2
RATE_BASELINE_DAYS: Final = 28
MOVERS_DAYS: Final = 7
"""Latest days of the view worst_movers that are looked at: its days are mature ones."""
_ONCE: Final = "each_message_once"
_SAME_IDS: Final = "same_ids_once"


def each_message_once(scene: Scene) -> Finding:
    """Every sent message is one row of `messages`, and none is there twice."""
    inputs = (scene.snapshot(MESSAGES), scene.snapshot(SENT_MESSAGES), scene.snapshot(DELIVERY_REPORTS))
    target, sent, reports = inputs
    days = [day for day in scene.days if is_derived(target, (*sent.of([day]), *reports.of([day])), day)]
    messages = rows_in(target.of(days))
    suspects = _not_proven(scene, days)
    scene.show(SENT_MESSAGES, suspects)
    scene.show(MESSAGES, suspects)
    bad = scene.bad(_ONCE) if suspects else []
    figures = {"messages": messages, "days_under_way": len(scene.days) - len(days), "bad_messages": len(bad)}
    return judged(bad, figures, is_severe=True)


def states_sum_to_sent(scene: Scene) -> Finding:
    """In every bucket the seven states sum to `sent`, and every table counts each message of a day."""
    tables = [scene.snapshot(table) for table in RATE_TABLES]
    messages = scene.snapshot(MESSAGES)
    days = [day for day in scene.days if all(is_derived(table, messages.of([day]), day) for table in tables)]
    buckets = sum(scene.show(table, days) for table in RATE_TABLES)
    counted = scene.show(MESSAGES, days)
    bad = scene.bad("states_sum_to_sent")
    figures = {
        "messages": counted,
        "buckets": buckets,
        "days_under_way": len(scene.days) - len(days),
        "bad_sums": len(bad),
    }
    return judged(bad, figures, is_severe=True)


def answers_reconcile(scene: Scene) -> Finding:
    """The platform's own tallies agree with the answers stored for each call."""
    calls = scene.show(API_CALLS, scene.days)  # before the answers: a call's answers are stored before its row is
    answers = scene.show(DELIVERY_REPORTS, scene.days)
    bad = scene.bad("answers_reconcile")
    lost = sum(not row["is_known"] for row in bad)
    figures = {"calls": calls, "answers": answers, "calls_that_disagree": len(bad), "calls_lost_or_doubled": lost}
    return judged(bad, figures, is_severe=lost > 0)


def rejected_share(scene: Scene) -> Finding:
    """Few records of the logs can't be used."""
    days = [*scene.days, None]
    stored, rejected = scene.show(SENT_MESSAGES, scene.days), scene.show(REJECTED_RECORDS, days)
    bad = scene.bad("rejected_share", bound=REJECTED_SHARE, fewest=REJECTED_FEWEST)
    worst = max((float(row["share"]) for row in bad), default=0.0)
    figures = {
        "stored": stored,
        "rejected": rejected,
        "days_over_bound": len(bad),
        "worst_share": worst,
        "bound": REJECTED_SHARE,
    }
    return judged(bad, figures, is_severe=worst > REJECTED_SHARE_SEVERE)


def nothing_overdue(scene: Scene) -> Finding:
    """No message of any day has been due for longer than it should be."""
    days = _days_with_open_messages(scene)
    scene.show(MESSAGES, days)
    _show_stored(scene, [day for (day,) in rows_of(scene.connection, query("maintain/sql/checks/never_asked_days"))])
    bad = scene.bad("nothing_overdue", bound_seconds=OVERDUE.total_seconds(), **asking_rule(scene.settings, scene.now))
    hours = max((float(row["overdue_hours"]) for row in bad), default=0.0)
    figures = {
        "days_open": len(days),
        "overdue": sum(int(row["messages"]) for row in bad),
        "overdue_hours": hours,
        "bound_hours": OVERDUE / timedelta(hours=1),
    }
    return judged(bad, figures, is_severe=hours > OVERDUE_SEVERE / timedelta(hours=1))


def delivery_rate_held(scene: Scene) -> Finding:
    """No app, country or sender delivers clearly worse than in the weeks before.

    Young days are judged by their final messages, mature ones by the view worst_movers.
    """
    recent = scene.snapshot(DELIVERY_ROLLUPS_DAILY).days()
    last = recent[-1:] or [date.min]
    days = [day for day in recent if (last[0] - day).days < RATE_DAYS + RATE_BASELINE_DAYS + MOVERS_DAYS]
    scene.show(DELIVERY_ROLLUPS_DAILY, days)
    scene.connection.execute(f"CREATE OR REPLACE TEMP VIEW worst_movers AS {query('publish/sql/views/worst_movers')}")
    movers = scene.bad("worst_movers_dropped", days=MOVERS_DAYS)
    fallen = scene.bad(
        "delivery_rate_held",
        days=RATE_DAYS,
        baseline_days=RATE_BASELINE_DAYS,
        bound=RATE_DROP,
        deviations=RATE_DEVIATIONS,
        fewest=RATE_FEWEST,
    )
    bad = [*fallen, *movers]
    worst = max((float(row["drop_of"]) for row in bad), default=0.0)
    figures = {
        "days_compared": len(days),
        "buckets_that_dropped": len(fallen),
        "worst_movers_that_dropped": len(movers),
        "worst_drop": worst,
        "bound": RATE_DROP,
    }
    return judged(bad, figures, is_severe=False)


def _not_proven(scene: Scene, days: Collection[date]) -> list[date]:
    """Return the days whose messages are not proven to be those sent, each once.

    Of the same files, which never change, a proof stands: it is not repeated by each run over a quiet day.
    """
    proven = scene.lake.found_sound(_ONCE)
    proofs = {day.isoformat(): _files_digest(scene, day) for day in days}
    wanted = [day for day in days if proven.get(day.isoformat()) != proofs[day.isoformat()]]
    failed = [day for day in wanted if not _same_ids_once(scene, day)]
    if new := {day.isoformat(): proofs[day.isoformat()] for day in wanted if day not in failed}:
        scene.lake.note_sound(_ONCE, new)
    return failed


def _files_digest(scene: Scene, day: date) -> str:
    """Return a text that stands for the proof and for the files that it is about."""
    files = (*scene.snapshot(SENT_MESSAGES).of([day]), *scene.snapshot(MESSAGES).of([day]))
    text = "\n".join([query(f"maintain/sql/checks/{_SAME_IDS}"), *sorted(str(file.path.name) for file in files)])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _same_ids_once(scene: Scene, day: date) -> bool:
    """Say whether a day's messages are proven to be those sent, each once: by hashes, at a quarter of the cost."""
    scene.show(SENT_MESSAGES, [day])
    scene.show(MESSAGES, [day])
    ((is_proven,),) = rows_of(scene.connection, query(f"maintain/sql/checks/{_SAME_IDS}"))
    return bool(is_proven)


def _days_with_open_messages(scene: Scene) -> list[date]:
    """Return days with a message that is not final and may be asked for; the rollups say which."""
    oldest = (scene.now - API_MEMORY).date() - timedelta(days=1)
    counted = counted_days(scene.connection, scene.lake)
    young = [day for day, of_day in sorted(counted.items()) if day >= oldest and not of_day.is_closed]
    scene.show(DELIVERY_ROLLUPS_DAILY, young)
    give_up = (scene.now - scene.settings.give_up_after).date() - timedelta(days=1)
    pending = {
        day
        for (day,) in rows_of(
            scene.connection,
            f"SELECT sent_date FROM {DELIVERY_ROLLUPS_DAILY.name} WHERE dimension = 'all' AND pending > 0",
        )
    }
    return [day for day in young if day >= give_up or day in pending]


def _show_stored(scene: Scene, days: Collection[date]) -> None:
    """Make readable when each message of some days was stored: when its file became part of the lake."""
    connection, files = scene.connection, scene.snapshot(SENT_MESSAGES).of(days)
    connection.execute("CREATE OR REPLACE TEMP TABLE arrivals (path VARCHAR, stored_at TIMESTAMPTZ)")
    for file in files:
        arrived = datetime.fromtimestamp(file.added_ms / 1000, UTC)
        connection.execute("INSERT INTO arrivals VALUES (?, ?)", [str(file.path), arrived])
    names = ", ".join(literal(str(file.path)) for file in files)
    source = f"read_parquet([{names}], filename = 'path')" if files else f"({relation(SENT_MESSAGES, [])})"
    columns = "app_id, msg_id, stored_at" if files else "app_id, msg_id, sent_at AS stored_at"
    joined = "JOIN arrivals USING (path)" if files else ""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW stored AS SELECT {columns} FROM {source} {joined}")
