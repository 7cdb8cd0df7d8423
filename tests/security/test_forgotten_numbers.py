"""A number that was forgotten is nowhere in the lake, whatever its spelling, and does not come back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.api.batches import Batch
from pipeline.api.client import GoodResponse, Ledger
from pipeline.api.envelope import decode_envelope
from pipeline.collect.sent_messages import collect
from pipeline.follow.recorder import Recorder
from pipeline.lake.lake import Lake
from pipeline.lake.notes import forgotten_numbers
from pipeline.maintain.forget import forget, remove_old_files, rows_that_keep
from pipeline.model.errors import CallError, LakeError
from pipeline.model.phone_numbers import Mode, treat_number
from pipeline.model.settings import Settings, number_policy
from pipeline.model.tables import SENT_MESSAGES
from tests.scenarios.stage import read_table
from tests.support.spellings import NUMBER, SPELLINGS, places_of, texts_below

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MSG_ID = "2108021054011000095"
OTHER = "919876543210"
MODES: tuple[Mode, ...] = ("keep", "mask", "hash", "drop")


def write_log(path: Path, *, first_id: int) -> None:
    """Write messages and rejects that have each spelling in each field."""
    lines: list[dict[str, object]] = [{"msg_id": "1", "sent_at": "2026-03-01T10:00:00Z", "number": OTHER}]
    for place, spelling in enumerate(SPELLINGS, first_id):
        good: dict[str, object] = {"msg_id": str(place), "sent_at": "2026-03-01T10:00:00Z"}
        whole = {"number": spelling, "sender_id": spelling, "order_id": spelling, "campaign": spelling}
        inside = dict.fromkeys(("sender_id", "order_id", "campaign"), f"for {spelling}!")
        lines += [good | whole, good | {"msg_id": f"9{place}"} | inside, good | whole | {"msg_id": f"x {spelling}"}]
        lines += [good | {"sent_at": f"at {spelling}", "number": f"tel {spelling}"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def record(lake: Lake, settings: Settings) -> int:
    """Record answers that have each spelling in each field; return how many numbers were dropped."""
    recorder = Recorder(lake, number_policy(settings), lambda _: None)
    for place, spelling in enumerate(SPELLINGS):
        rows = [
            {"msgId": MSG_ID, "number": spelling, "status": "0", "to": spelling, "deep": [{spelling: f"({spelling})"}]},
            {"msgId": f"x {spelling}", "number": spelling, "receiveTime": spelling, "status": spelling},
        ]
        envelope = decode_envelope(json.dumps({"status": "0", "reason": spelling, "array": rows}).encode())
        batch, error = Batch("app", [(MSG_ID, NOON.date())]), CallError(f"no: {spelling}", 200, "-9", spelling)
        recorder.answer(batch, f"call {place}", Ledger(), GoodResponse(envelope, 200, NOON))
        recorder.failure(batch, f"failed {place}", Ledger(), "gave_up", error)
    recorder.close()
    return recorder.tally.forgotten


@pytest.mark.parametrize("mode", MODES)
def test_a_forgotten_number_is_nowhere_and_does_not_come_back(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path, mode: Mode
) -> None:
    """Before, five of its spellings stayed, and all were back once a log was renamed or a call repeated."""
    chosen = settings(
        sent_logs="logs/*.jsonl",
        app_id="app",
        numbers=mode,
        sent_log_labels="campaign",
        numbers_key="0123456789abcdef" * 2,
    )
    logs = tmp_path / "logs"
    logs.mkdir()
    write_log(logs / "a.jsonl", first_id=10)
    assert collect([NOON.date()], lake=lake, settings=chosen, now=NOON).forgotten == 0
    assert record(lake, chosen) == 0
    assert (places_of(lake.folder) != []) is (mode == "keep")

    forget("0049 (170) 111-2222", lake=lake, settings=chosen)
    assert remove_old_files(NUMBER, lake=lake, settings=chosen) == 0
    assert rows_that_keep(NUMBER, lake=lake, settings=chosen) == 0
    assert places_of(lake.folder) == []

    (logs / "a.jsonl").rename(logs / "b.jsonl")
    write_log(logs / "c.jsonl", first_id=40)
    assert collect([NOON.date()], lake=lake, settings=chosen, now=NOON).forgotten > len(SPELLINGS)
    assert record(lake, chosen) == len(SPELLINGS)
    assert places_of(lake.folder) == []
    stored = read_table(lake, SENT_MESSAGES)
    assert len(stored) == 1 + 4 * len(SPELLINGS)
    assert sum(row["number"] is not None for row in stored) == (mode != "drop")
    hashed = treat_number(NUMBER, number_policy(chosen)) or "-"
    assert not [path for path, text in texts_below(lake.folder) if mode == "hash" and hashed in text]


def test_the_key_is_the_owners_alone_and_forgotten_numbers_are_not_in_the_clear(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    forget(NUMBER, lake=lake, settings=settings())
    key = lake.folder / "forgotten_numbers.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert forgotten_numbers(lake).holds(f"00{NUMBER}")
    assert not forgotten_numbers(lake).holds(OTHER)
    assert places_of(lake.folder) == []
    key.unlink()
    with pytest.raises(LakeError, match=r"forgotten_numbers\.key has gone"):
        forgotten_numbers(lake)


def test_a_number_that_is_an_id_or_names_a_log_stays_and_is_said(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    chosen = settings(sent_logs="*.jsonl")
    line = {"msg_id": NUMBER, "sent_at": "2026-03-01T10:00:00Z", "app_id": "app", "number": NUMBER}
    (tmp_path / f"to {NUMBER}.jsonl").write_text(json.dumps(line) + "\n")
    collect([NOON.date()], lake=lake, settings=chosen, now=NOON)
    forget(NUMBER, lake=lake, settings=chosen)
    assert rows_that_keep(NUMBER, lake=lake, settings=chosen) > 1
    assert [row["number"] for row in read_table(lake, SENT_MESSAGES)] == [None]
