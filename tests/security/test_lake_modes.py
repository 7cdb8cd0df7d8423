"""Lakes that others can change: named in one line, before anything in them is read."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.lake.lake import Lake, Snapshot
from pipeline.model.errors import SettingsError
from pipeline.model.tables import MESSAGES, SENT_MESSAGES
from tests.support.lakes import Sent, store_sent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("entry", ["", "settings.json", "messages", "messages/_delta_log"])
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_lake_that_others_can_change_is_not_opened(lake: Lake, entry: str, mode: int) -> None:
    (lake.folder / entry).chmod(mode)
    with pytest.raises(SettingsError, match=rf"^SMS_LAKE: {lake.folder / entry} can be changed by every user; chmod"):
        Lake.open(lake.folder, mode=0o640, recorded={})


def test_nor_is_one_with_an_open_log_entry(lake: Lake) -> None:
    entry = next((lake.folder_of(MESSAGES) / "_delta_log").glob("*.json"))
    entry.chmod(0o666)
    with pytest.raises(SettingsError, match=rf"^SMS_LAKE: {entry} can be changed"):
        Lake.open(lake.folder, mode=0o640, recorded={})


def test_the_group_may_write_where_the_mode_of_files_says_so(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        for _ in range(2):
            Lake.open(tmp_path / "shared", mode=0o660, recorded={})
        (tmp_path / "shared").chmod(0o777)
        with pytest.raises(SettingsError, match="can be changed by every user"):
            Lake.open(tmp_path / "shared", mode=0o660, recorded={})
    finally:
        os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_lake_of_another_user_is_named_with_both_users(lake: Lake) -> None:
    os.chown(lake.folder, 65534, 65534)
    with pytest.raises(SettingsError, match=r"^SMS_LAKE: .* belongs to user (nobody|65534), but this is user root"):
        Lake.open(lake.folder, mode=0o640, recorded={})


def filled(lake: Lake) -> Path:
    """Store a message; return its data file."""
    store_sent(lake, [Sent("1", NOON)])
    (file,) = lake.snapshot(SENT_MESSAGES).files
    return file.path


def opened(lake: Lake) -> Snapshot:
    """Open the lake as another process does, and list its messages."""
    return Lake.open(lake.folder, mode=0o640, recorded={}).snapshot(SENT_MESSAGES)


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_day_or_a_file_that_others_can_change_is_not_read(lake: Lake, *, is_folder: bool) -> None:
    """Before, only the folders of tables and logs were looked at."""
    path = filled(lake).parent if is_folder else filled(lake)
    assert len(opened(lake).files) == 1
    path.chmod(0o777)
    with pytest.raises(SettingsError, match=rf"^SMS_LAKE: {path} can be changed by every user; chmod go-w it"):
        opened(lake)


@pytest.mark.parametrize("entry", ["file", "day", "table", "log entry", "settings.json"])
def test_where_a_link_in_the_lake_leads_is_checked(lake: Lake, tmp_path: Path, entry: str) -> None:
    """Before, a link was judged by its own owner, so whoever may write its target wrote what was published."""
    file, log = filled(lake), lake.folder_of(SENT_MESSAGES) / "_delta_log"
    places = {"file": file, "day": file.parent, "table": log.parent, "log entry": min(log.glob("*.json"))}
    path = places.get(entry, lake.folder / entry)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o750)
    target = path.rename(elsewhere / path.name)
    path.symlink_to(target)
    assert len(opened(lake).files) == 1
    elsewhere.chmod(0o777)
    with pytest.raises(SettingsError, match=rf"^SMS_LAKE: {path} leads to {target}, and {elsewhere} can be changed"):
        opened(lake)
    elsewhere.chmod(0o750)
    target.chmod(0o777)
    with pytest.raises(SettingsError, match=rf"^SMS_LAKE: {path} leads to {target}, and {target} can be changed"):
        opened(lake)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("entry", ["_scratch", "sent_messages/sent_date=2026-03-01"])
def test_a_link_of_another_member_of_the_group_is_not_followed(tmp_path: Path, entry: str) -> None:
    """Before, one in place of `_scratch` had the folder that it led to emptied."""
    before = os.umask(0o022)
    try:
        lake = Lake.open(tmp_path / "shared", mode=0o660, recorded={})
        (tmp_path / "precious" / "folder").mkdir(parents=True)
        (tmp_path / "precious" / "data.parquet").touch()
        path = lake.folder / entry
        shutil.rmtree(path, ignore_errors=True)
        path.symlink_to(tmp_path / "precious")
        os.chown(path, 65534, os.getegid(), follow_symlinks=False)
        with pytest.raises(SettingsError, match=rf"^SMS_LAKE: {path} belongs to user (nobody|65534)"):
            Lake.open(lake.folder, mode=0o660, recorded={}).files_there(SENT_MESSAGES)
    finally:
        os.umask(before)
    assert {found.name for found in (tmp_path / "precious").iterdir()} == {"folder", "data.parquet"}


@pytest.mark.parametrize(
    "named", ["/elsewhere.parquet", "../../elsewhere.parquet", "%2e%2e/messages/x.parquet", "s3://b/x"]
)
def test_a_path_in_a_delta_log_that_leads_out_of_the_table_is_not_read(lake: Lake, named: str) -> None:
    """Before, any file that the pipeline may read was read as a part of the table."""
    filled(lake)
    (entry,) = (lake.folder_of(SENT_MESSAGES) / "_delta_log").glob("*1.json")
    actions = [json.loads(line) for line in entry.read_text().splitlines()]
    for action in actions:
        if "add" in action:
            action["add"]["path"] = named
    entry.write_text("\n".join(json.dumps(action, separators=(",", ":")) for action in actions))
    with pytest.raises(SettingsError, match=r"^SMS_LAKE: the Delta log in .* which is not in it; is it your lake\?"):
        opened(lake)
