"""Lakes that others can change: named in one line, before anything in them is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.lake.lake import Lake
from pipeline.model.errors import SettingsError
from pipeline.model.tables import MESSAGES


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
