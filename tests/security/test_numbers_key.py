"""One lake, one key of the hash: another one is refused before anything is stored or erased."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.lake.lake import Lake
from pipeline.model.errors import SettingsError
from pipeline.model.settings import given_settings
from tests.support.places import Place, opened_place, write_logs

KEY, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with opened_place(tmp_path) as place:
        yield place


@pytest.mark.slow
def test_another_key_is_refused_by_run_and_forget_and_the_messages_show_none(place: Place) -> None:
    """Before, one person was stored under two hashes, and `forget` with the other key found 0 rows."""
    write_logs(place, 10)
    place.run("run", SMS_NUMBERS="hash", SMS_NUMBERS_KEY=KEY)
    for command in (["run"], ["forget", "919876543210"], ["publish"]):
        done = place.run(*command, status=2, SMS_NUMBERS="hash", SMS_NUMBERS_KEY=OTHER)
        assert "SMS_NUMBERS_KEY: is not the key" in done.stderr
        assert OTHER not in done.stdout + done.stderr
    recorded = json.loads((place.folder / "data/lake/settings.json").read_text())["SMS_NUMBERS_KEY"]
    assert recorded not in done.stderr
    assert KEY not in (place.folder / "data/lake/settings.json").read_text()
    place.run("run", SMS_NUMBERS="hash", SMS_NUMBERS_KEY=KEY)


@pytest.mark.usefixtures("lake")  # which restores the umask
def test_the_key_of_a_lake_by_an_earlier_version_is_recorded_when_it_is_first_opened(tmp_path: Path) -> None:
    lake, settings = tmp_path / "earlier", given_settings(tmp_path, numbers="hash", numbers_key=KEY)
    before = {name: value for name, value in settings.recorded.items() if name != "SMS_NUMBERS_KEY"}
    Lake.open(lake, mode=0o640, recorded=before)
    Lake.open(lake, mode=0o640, recorded=settings.recorded)
    other = given_settings(tmp_path, numbers="hash", numbers_key=OTHER)
    with pytest.raises(SettingsError, match=r"^SMS_NUMBERS_KEY: "):
        Lake.open(lake, mode=0o640, recorded=other.recorded)
