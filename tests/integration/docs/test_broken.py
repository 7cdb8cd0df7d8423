"""`docs/production.md`: damage shows as written in "When something is broken"; remedies and backup work as written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from pipeline.api.simulator.faults import Faults
from pipeline.collect.sent_messages import collect
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.lake.log_entries import write_checkpoint
from pipeline.lake.notes import forgotten_numbers, note_forgotten_number
from pipeline.maintain.doctor import examine
from pipeline.maintain.repair import repair
from pipeline.maintain.status import answers_ahead
from pipeline.model.accounts import load_accounts
from pipeline.model.errors import LakeError, SettingsError, SmsDeliveryError
from pipeline.model.settings import Settings, given_settings, load_settings
from pipeline.model.tables import DELIVERY_REPORTS, LAKE_TABLES, SENT_MESSAGES, Table
from pipeline.publish.database import publish
from tests.support.lakes import Said, store_answers
from tests.support.mounts import set_limit, small_disk
from tests.support.places import opened_place, still_place, write_logs
from tests.support.processes import assert_whole

PAGE = (Path(__file__).parents[3] / "docs" / "production.md").read_text("utf-8")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = date(2026, 3, 1)
KEY = "0123456789abcdef" * 2
pytestmark = pytest.mark.slow


def part(name: str) -> str:
    """Return what stands between two marks of the page."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", PAGE, re.DOTALL)
    assert found, name
    return found[1]


def rows() -> dict[str, tuple[str, str]]:
    """Return of each damage how it shows and what to do."""
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in part("broken").splitlines()[2:]]
    return {damage.strip(): (_code(shows), remedy) for damage, shows, remedy in cells}


def _code(cell: str) -> str:
    """Return the text of a code span, or the cell as it is."""
    span = re.fullmatch(r"(`+) ?(.*?) ?\1", cell)
    return span[2] if span else cell


class Place:
    """A published lake of a log with 20 messages, each answered twice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = given_settings(
            folder, sent_logs="sent.jsonl", app_id="app", lake="lake", duckdb="analytics.duckdb", numbers="hash",
            numbers_key=KEY, api_key="k", api_secret="s" * 20, api_base_url="http://127.0.0.1:1/sms",
        )  # fmt: skip
        self.lake = self.opened()

    def opened(self) -> Lake:
        """Open the lake as the next process does."""
        return Lake.open(self.folder / "lake", mode=0o640, recorded=self.settings.recorded)

    def answer(self, number: int) -> None:
        """Store an answer for each message, as one more run does."""
        said = [(Said(str(n), "delivered", NOON + timedelta(seconds=number), NOON), DAY) for n in range(20)]
        store_answers(self.lake, said)

    def run(self) -> None:
        """Do what a run does but for asking."""
        self.lake = self.opened()
        collect([DAY], lake=self.lake, settings=self.settings, now=NOON)
        derive_messages([DAY], lake=self.lake, settings=self.settings, now=NOON)
        derive_rates([DAY], lake=self.lake, settings=self.settings, now=NOON)
        publish(lake=self.lake, settings=self.settings, now=NOON)

    def states(self) -> list[tuple[object, ...]]:
        """Return what analysts read."""
        with duckdb.connect(self.settings.duckdb, read_only=True) as connection:
            return connection.execute("SELECT delivery_status, count(*) FROM messages GROUP BY ALL").fetchall()

    def data_file(self) -> Path:
        """Return a data file of sent messages."""
        return self.lake.snapshot(SENT_MESSAGES).files[0].path

    def entries(self) -> list[Path]:
        """Return the entries of the log of answers."""
        return sorted((self.lake.folder_of(DELIVERY_REPORTS) / "_delta_log").glob("*.json"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    before = os.umask(0o077)
    lines = [
        f'{{"msg_id": "{n}", "sent_at": "2026-03-01T10:00:00Z", "number": "4917011122{n:02}"}}\n' for n in range(20)
    ]
    (tmp_path / "sent.jsonl").write_text("".join(lines))
    place = Place(tmp_path)
    for number in range(2):
        place.answer(number)
    place.run()
    yield place
    os.umask(before)


def cut(path: Path) -> None:
    path.chmod(0o640)
    path.write_bytes(path.read_bytes()[:99])


def cut_checkpoint(place: Place) -> None:
    with place.lake.scratch() as scratch:
        write_checkpoint(place.lake.folder_of(DELIVERY_REPORTS), scratch)
    cut(next((place.lake.folder_of(DELIVERY_REPORTS) / "_delta_log").glob("*.checkpoint.parquet")))


def read(place: Place) -> str:
    """Return what every command says that reads the answers."""
    with pytest.raises(LakeError) as error:
        place.opened().snapshot(DELIVERY_REPORTS)
    return str(error.value)


def doctor(place: Place) -> str:
    """Return what `doctor` says of the lake."""
    return next(f"doctor: {found.text}" for found in examine(place.settings, now=NOON) if found.subject == "lake")


Case = tuple[Callable[[Place], object], Callable[[Place], str]]
OF_THE_LAKE: dict[str, Case] = {
    "newest entry of a table's log empty": (lambda place: place.entries()[-1].write_bytes(b""), read),
    "an entry of a log cut": (lambda place: cut(place.entries()[-1]), read),
    "an entry of a log missing": (lambda place: place.entries()[-2].unlink(), read),
    "a checkpoint cut": (cut_checkpoint, read),
    "a data file missing": (lambda place: place.data_file().unlink(), doctor),
    "a data file cut": (lambda place: cut(place.data_file()), doctor),
}


def shows(said: str, written: str) -> bool:
    """Say whether a line is as it is written, with anything where it has dots."""
    return re.fullmatch(".*".join(map(re.escape, written.split("…"))), said) is not None


@pytest.mark.parametrize("damage", OF_THE_LAKE)
def test_a_damaged_lake_shows_as_written_and_is_whole_after_what_is_to_be_done(place: Place, damage: str) -> None:
    inject, look = OF_THE_LAKE[damage]
    written, remedy = rows()[damage]
    before = place.states()
    inject(place)
    said = look(place)
    assert shows(said, written), said
    assert remedy.startswith("`sms-delivery repair`")
    assert repair(lake=place.opened(), settings=place.settings) != []
    place.run()
    assert place.states() == before == [("delivered", 20)]
    assert repair(lake=place.opened(), settings=place.settings) == []


def test_a_published_file_that_is_damaged_is_replaced_by_the_next_publication(place: Place) -> None:
    for damage in ("the published file damaged", "a `.wal` beside the published file"):
        assert rows()[damage][1] == "`sms-delivery publish`"
    cut(place.settings.duckdb.resolve())
    with pytest.raises(duckdb.Error):
        place.states()
    place.run()
    assert place.states() == [("delivered", 20)]
    place.settings.duckdb.with_name("analytics.duckdb.wal").write_bytes(b"left by a connection that wrote")
    place.run()
    assert place.states() == [("delivered", 20)]


def test_a_damaged_cache_is_built_anew(place: Place) -> None:
    assert rows()["the cache of publishing damaged"][0].startswith("nothing: it is built anew")
    cut(next(place.lake.folder.glob("_rates-*/*.duckdb")))
    place.run()
    assert place.states() == [("delivered", 20)]


def test_answers_of_a_clock_that_was_fast_show_as_written(place: Place) -> None:
    (line,) = answers_ahead(place.lake, NOON - timedelta(days=30))
    assert shows(line, rows()["the clock was fast, and is right"][0]), line


def settings_without(place: Place, **values: object) -> Settings:
    return given_settings(place.folder, **({"lake": "lake", "numbers": "hash", "numbers_key": KEY} | values))


def test_lost_settings_and_keys_show_as_written(place: Place) -> None:
    note_forgotten_number(place.lake, "491701112299")
    (place.lake.folder / "forgotten_numbers.key").unlink()
    other = settings_without(place, numbers_key=KEY[::-1])
    cases: dict[str, Callable[[], object]] = {
        "`.env` lost": lambda: load_accounts(settings_without(place)),
        "`SMS_NUMBERS_KEY` lost": lambda: load_settings(folder=place.folder, numbers="hash"),
        "another `SMS_NUMBERS_KEY`": lambda: Lake.open(other.lake, mode=0o640, recorded=other.recorded),
        "`forgotten_numbers.key` lost": lambda: forgotten_numbers(place.lake),
    }
    for damage, do in cases.items():
        with pytest.raises((SettingsError, LakeError)) as error:
            do()
        assert shows(str(error.value), rows()[damage][0]), str(error.value)


@pytest.mark.parametrize("limit", ["size=400k", "size=900k", "nr_inodes=76"])
def test_a_full_disk_shows_as_written_and_the_next_run_goes_on_once_there_is_room(tmp_path: Path, limit: str) -> None:
    written, remedy = rows()["the disk full, or without inodes"]
    assert remedy.startswith("make room, then `sms-delivery run`")
    data = tmp_path / "data"
    with small_disk(data, limit), still_place(tmp_path, messages=4000, batch=20) as (place, answers):
        line = place.run("run", status=1).stderr.rstrip("\n").rpartition("\n")[2]
        assert shows(line, written), line
        set_limit(data, "size=200m,nr_inodes=0")
        place.run("run")
        assert_whole(place, answers)


def test_a_read_only_disk_shows_as_written_and_the_next_run_goes_on_once_it_is_writable(tmp_path: Path) -> None:
    written, remedy = rows()["the lake on a read-only disk"]
    assert remedy == "mount it writable, `sms-delivery doctor`, then `sms-delivery run`"
    data = tmp_path / "data"
    with small_disk(data, "size=200m"), opened_place(tmp_path) as place:
        write_logs(place, 20)
        place.run("run")
        set_limit(data, "ro")
        for command in ("run", "status", "publish"):
            line = place.run(command, status=2).stderr.strip()
            assert shows(line.removeprefix("sms-delivery: "), written), line
        assert any(written.partition("…")[2] in line for line in place.run("doctor", status=2).stdout.splitlines())
        set_limit(data, "rw")
        place.run("doctor")
        place.run("run")


def test_a_platform_that_answers_for_other_ids_shows_as_written_and_the_next_run_asks_again(tmp_path: Path) -> None:
    written, remedy = rows()["a platform that answers for other ids"]
    assert remedy == "tell the platform; the next `sms-delivery run` asks again"
    with opened_place(tmp_path) as place:
        write_logs(place, 90)
        with opened_place(tmp_path, faults=Faults((("stranger", 1.0),))) as strange:
            done = strange.run("run", status=1, SMS_BATCH_SIZE="10")
        said = (done.stdout + done.stderr).splitlines()
        assert any(shows(line, f"…{written}…") for line in said), said
        place.run("run", "--force")
        assert place.query("SELECT count(*) FROM messages WHERE poll_count > 0") == [(90,)]


def test_each_row_names_a_remedy_and_is_tried_above() -> None:
    tested = {*OF_THE_LAKE, "the published file damaged", "a `.wal` beside the published file"}
    tested |= {"the cache of publishing damaged", "the clock was fast, and is right"}
    tested |= {"the disk full, or without inodes", "the lake on a read-only disk"}
    tested |= {"a platform that answers for other ids"}
    tested |= {name for name in rows() if name.endswith("lost") or name.startswith("another")}
    assert rows().keys() == tested
    assert all(remedy for _, remedy in rows().values())


def test_a_backup_made_as_written_while_runs_go_on_opens_and_is_read_on(place: Place, tmp_path: Path) -> None:
    backup, ended, failed = tmp_path / "backup", threading.Event(), list[Exception]()
    backup.mkdir()

    def go_on() -> None:
        number = 2
        while not ended.is_set():
            try:
                place.answer(number)
            except SmsDeliveryError as error:  # shown by the assertion below
                failed.append(error)
            number += 1

    writer = threading.Thread(target=go_on)
    writer.start()
    script = part("backup").strip().removeprefix("```sh\n").removesuffix("```")
    done = subprocess.run(
        ["bash", "-euc", script],
        env={"PATH": os.defpath, "SMS_LAKE": str(place.lake.folder), "BACKUP": str(backup)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    ended.set()
    writer.join()
    assert (done.returncode, done.stderr, failed) == (0, "", [])
    answers = place.lake.snapshot(DELIVERY_REPORTS).rows

    shutil.rmtree(place.lake.folder)
    shutil.copytree(backup, place.lake.folder)
    restored = place.opened()
    assert _rows(restored, DELIVERY_REPORTS) <= answers
    assert repair(lake=restored, settings=place.settings) == []
    (lake,) = [found for found in examine(place.settings, now=NOON) if found.subject == "lake"]
    assert lake.ok, lake.text
    place.run()
    assert place.states() == [("delivered", 20)]


def _rows(lake: Lake, table: Table) -> int:
    assert all(lake.snapshot(each).version >= 0 for each in LAKE_TABLES)
    return lake.snapshot(table).rows
