"""A number that was forgotten is nowhere in the lake, whatever its spelling, and does not come back."""

from __future__ import annotations

import json
import os
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
from pipeline.lake.log_entries import write_checkpoint
from pipeline.lake.notes import forgotten_numbers, lake_key
from pipeline.maintain.forget import forget, remove_old_files
from pipeline.model.errors import CallError, LakeError
from pipeline.model.phone_numbers import Mode, treat_number
from pipeline.model.settings import Settings, number_policy
from pipeline.model.tables import REJECTED_RECORDS, SENT_MESSAGES
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


@pytest.mark.parametrize(("mode", "of_key"), [(0o640, 0o600), (0o660, 0o660), (0o600, 0o600), (0o644, 0o600)])
def test_whoever_may_write_the_lake_knows_the_key_and_nobody_else(tmp_path: Path, mode: int, of_key: int) -> None:
    """Before, a second user of the group could not read it, so that no command worked for them."""
    before = os.umask(0o022)
    try:
        lake = Lake.open(tmp_path / "shared", mode=mode, recorded={})
        lake_key(lake)
        assert (lake.folder / "forgotten_numbers.key").stat().st_mode & 0o777 == of_key
    finally:
        os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_a_key_that_another_user_keeps_to_himself_is_one_line_with_the_remedy(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    forget(NUMBER, lake=lake, settings=settings())
    for folder in (lake.folder, *lake.folder.parents):
        if folder.stat().st_uid == 0 and folder.name.startswith(("pytest", "popen", "test", "lake")):
            folder.chmod(0o755)
    (lake.folder / "forgotten_numbers.json").chmod(0o644)
    os.seteuid(65534)
    try:
        with pytest.raises(LakeError, match=r"forgotten_numbers\.key can't be read by this user: .* `chmod g\+rw /"):
            forgotten_numbers(lake)
    finally:
        os.seteuid(0)


def write_numbered_logs(folder: Path, *, in_folders: str) -> None:
    """Write logs that have the number in their names, as app and as id."""
    good = {"sent_at": "2026-03-01T10:00:00Z", "app_id": "app", "number": NUMBER}
    logs = {
        f"to {NUMBER}.jsonl": [good | {"msg_id": "1"}, {"msg_id": "no time"}],
        f"to {NUMBER}0.jsonl": [good | {"msg_id": "2"}],
        f"{in_folders}/a.jsonl": [good | {"msg_id": "3"}],
        f"app_id={NUMBER}/a.jsonl": [{"msg_id": "4", "sent_at": good["sent_at"]}],
        "ids.jsonl": [good | {"msg_id": NUMBER}, good | {"msg_id": f"00{NUMBER}", "app_id": f"a{NUMBER}"}],
    }
    for name, lines in logs.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("mode", MODES)
def test_a_number_in_a_name_as_app_or_as_id_goes_everywhere_and_stays_away(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path, mode: Mode
) -> None:
    """Before, `forget` only said how many rows have it so; the Delta log and its checkpoints kept it, too."""
    chosen = settings(sent_logs="logs/**/*.jsonl", numbers=mode, numbers_key="0123456789abcdef" * 2)
    write_numbered_logs(tmp_path / "logs", in_folders="49-170/111 2222" if mode == "keep" else "49 (170) 111.2222")
    collect([NOON.date()], lake=lake, settings=chosen, now=NOON)
    for table in (SENT_MESSAGES, REJECTED_RECORDS):
        with lake.scratch() as scratch:
            write_checkpoint(lake.folder_of(table), scratch)
    held = places_of(lake.folder)
    assert any("sent_log:" in place for place in held) is (mode == "keep")
    before = read_table(lake, SENT_MESSAGES)

    forget(NUMBER, lake=lake, settings=chosen)
    assert remove_old_files(NUMBER, lake=lake, settings=chosen) == 0
    assert places_of(lake.folder) == []

    fresh = Lake.open(lake.folder, mode=0o640, recorded={})
    after = read_table(fresh, SENT_MESSAGES)
    assert len(after) == len(before) == (6 if mode == "keep" else 5)
    assert len({(row["app_id"], row["msg_id"]) for row in after}) == len(after)
    assert len({row["file"] for row in after}) == len({row["file"] for row in before})
    assert collect([NOON.date()], lake=fresh, settings=chosen, now=NOON).files_read == 0
    for path in (tmp_path / "logs").rglob("*.jsonl"):
        path.write_text(path.read_text() + "\n")
    again = collect([NOON.date()], lake=fresh, settings=chosen, now=NOON)
    assert (again.stored, again.files_read) == (0, 5)
    assert places_of(lake.folder) == []
    assert sorted(map(str, read_table(fresh, SENT_MESSAGES))) == sorted(map(str, after))


def test_an_app_that_the_settings_name_is_no_number(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    """Without that, an app with an id of digits could not be followed any more."""
    line = {"msg_id": "1", "sent_at": "2026-03-01T10:00:00Z", "app_id": NUMBER}
    (tmp_path / "sent.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "accounts.toml").write_text("")
    refused = settings(sent_logs="*.jsonl", numbers="mask")
    tally = collect([NOON.date()], lake=lake, settings=refused, now=NOON)
    assert {code: told.records for code, told in tally.told.items()} == {"number_as_app": 1}
    (tmp_path / "accounts.toml").write_text(f'[apps.{NUMBER}]\napi_key = "k"\napi_secret = "s"\n')
    named = settings(sent_logs="*.jsonl", numbers="mask", accounts="accounts.toml")
    assert collect([NOON.date()], lake=lake, settings=named, now=NOON).stored == 1
    forget(NUMBER, lake=lake, settings=named)
    assert [row["app_id"] for row in read_table(lake, SENT_MESSAGES)] == [NUMBER]
