"""What the lake must hold of pushes, record and balance after each run of a world, in plain Python.

They decide no state: that every state is what getReport said is checked by `chronicle.py`, whatever is told here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from pipeline.follow.reconcile import ReconcileTally
from pipeline.lake.lake import Lake
from pipeline.lake.notes import balance_absent, balance_asked
from pipeline.model.accounts import Accounts
from pipeline.model.tables import ACCOUNT_BALANCE, PLATFORM_RECORD, PUSHED_REPORTS, RECORD_READS, REJECTED_RECORDS
from tests.oracle.chronicle import Chronicle, Played
from tests.scenarios.api import BALANCE, Recorded
from tests.scenarios.stage import read_table

HOUR, MONTH, SECOND = timedelta(hours=1), timedelta(days=30), timedelta(seconds=1)
STATUS_OF = {"delivered": "success", "failed": "failed"}


@dataclass
class Extras:
    """What is known of pushes, record and balance, and the checks of each run against it.

    Attributes:
        recorded: the platform's own record.
        pushes: usable reports that were pushed so far: app, id, status.
        broken_pushes: reports that can't be used.
        tally: of the reading of the record in this run, if it came to its end.
        asked_for: days whose record this run read, if it came to its end.
    """

    lake: Lake
    recorded: Sequence[Recorded]
    pushes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    broken_pushes: int = 0
    tally: ReconcileTally | None = None
    asked_for: Sequence[date] = ()
    _hosts_due: frozenset[str] = frozenset()
    _read_before: frozenset[datetime] = frozenset()

    def begin(self, accounts: Accounts, now: datetime) -> None:
        """Note before a run which days were read, and which balances are due.

        Those are due that were not asked for within an hour, and are not known to be absent.
        """
        self.tally, self.asked_for = None, ()
        self._read_before = frozenset(row["read_at"] for row in read_table(self.lake, RECORD_READS))
        asked, absent = balance_asked(self.lake), balance_absent(self.lake)
        due = set()
        for account in accounts.by_app().values():
            name = account.fingerprint
            is_recent = name in asked and now - HOUR < asked[name] <= now
            is_absent = name in absent and now - MONTH < absent[name] <= now
            if not is_recent and not is_absent:
                due.add(account.base_url.split("/")[2])
        self._hosts_due = frozenset(due)

    def check(self, played: Played, chronicle: Chronicle, *, since: datetime, until: datetime) -> None:
        """Check a run after its end."""
        self._check_pushes(played, chronicle)
        self._check_record(until)
        if self.tally is not None and not self.tally.failures:
            self._check_days_read(since, until)
        self._check_balance(played)

    def _check_pushes(self, played: Played, chronicle: Chronicle) -> None:
        """Each line is stored once, on the day of its message; reports that can't be used are rejects."""
        rows = read_table(self.lake, PUSHED_REPORTS)
        stored = Counter((row["app_id"], row["msg_id"], row["status"]) for row in rows)
        assert stored <= self.pushes
        rejects = sum(row["source"] == "push" for row in read_table(self.lake, REJECTED_RECORDS))
        if played.end == "killed":
            return
        assert stored == self.pushes
        assert rejects == self.broken_pushes
        for row in rows:
            message = chronicle.messages.get((row["app_id"], row["msg_id"]))
            assert row["sent_date"] == (message.sent.sent_at.astimezone(UTC).date() if message else None)

    def _check_record(self, until: datetime) -> None:
        """Each message of the record is there once, in a state that the platform had given; none is made up."""
        rows = read_table(self.lake, PLATFORM_RECORD)
        assert len(rows) == len({(row["app_id"], row["msg_id"]) for row in rows})
        known = {(each.app_id, each.msg_id): each for each in self.recorded}
        for row in rows:
            of = known[row["app_id"], row["msg_id"]]
            had = {STATUS_OF[step.kind] for step in of.fate.steps if step.at <= until and step.kind in STATUS_OF}
            assert row["status"] in had
            assert abs(row["sent_date"] - of.sent_at.astimezone(UTC).date()) <= timedelta(days=1)

    def _check_days_read(self, since: datetime, until: datetime) -> None:
        """What was final all the time that the record was read is there, and counted."""
        rows, reads = read_table(self.lake, PLATFORM_RECORD), read_table(self.lake, RECORD_READS)
        present = {(row["app_id"], row["msg_id"]) for row in rows}
        of_unit = Counter((row["app_id"], row["sent_date"]) for row in rows)
        for read in reads:
            if read["sent_date"] not in self.asked_for or read["read_at"] in self._read_before:
                continue  # left out by a run that goes on with a former one
            assert (read["recorded"], read["missing"]) == (of_unit[read["app_id"], read["sent_date"]], 0)
            for each in self.recorded:
                steps = each.fate.at(since), each.fate.at(until)
                is_final = steps[0] == steps[1] and steps[0] is not None and steps[0].kind in STATUS_OF
                is_in = read["starts_at"] <= each.sent_at <= read["ends_at"] - SECOND and not each.fate.is_bad_id
                if is_final and is_in and each.app_id == read["app_id"]:
                    assert (each.app_id, each.msg_id) in present

    def _check_balance(self, played: Played) -> None:
        """Each account is asked once an hour at most, and what is stored is what was told."""
        hosts = Counter(played.ledger.balances)
        assert hosts.keys() <= self._hosts_due
        assert all(count <= 2 for count in hosts.values())
        if self.asked_for:
            assert hosts.keys() == self._hosts_due
        assert {row["balance"] for row in read_table(self.lake, ACCOUNT_BALANCE)} <= {Decimal(BALANCE)}
