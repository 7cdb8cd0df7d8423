"""Hostile files of settings: planted, swapped, open to others, not text, with a name of the environment in a secret."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.maintain.surroundings import remarks
from pipeline.model.accounts import load_accounts
from pipeline.model.errors import SettingsError
from pipeline.model.settings import env_file, environment_secret, load_settings, revealed
from tests.support.places import Place, opened_place

NOBODY = 65534
IS_ROOT = os.geteuid() == 0
PLANTED = "SMS_API_BASE_URL=https://attacker.example/sms\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty project folder below `shared`, as working directory, without settings in the environment."""
    for name in [name for name in os.environ if name.upper().startswith("SMS_")]:  # noqa: TID251 - to take it away
        monkeypatch.delenv(name)
    folder = tmp_path / "shared" / "project"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o2775, 0o773])
def test_an_env_file_planted_in_a_parent_that_others_may_write_is_not_read(project: Path, mode: int) -> None:
    (project.parent / ".env").write_text(PLANTED, "utf-8")
    project.parent.chmod(mode)

    assert env_file() is None
    assert load_settings().api_base_url == "https://api.itniotech.com/sms"
    (said,) = [remark.text for remark in remarks(load_settings()) if remark.is_advice]
    assert f"{project.parent / '.env'} is not read, since others may write {project.parent}" in said


def test_nor_is_one_above_such_a_folder(project: Path) -> None:
    (project.parent.parent / ".env").write_text(PLANTED, "utf-8")
    project.parent.chmod(0o777)

    assert env_file() is None


def test_that_of_the_working_directory_is_read_though_others_may_write_there(project: Path) -> None:
    (project / ".env").write_text("SMS_BATCH_SIZE=7\n", "utf-8")
    project.chmod(0o1777)

    assert load_settings().batch_size == 7


@pytest.mark.parametrize("name", [".env", "accounts.toml"])
@pytest.mark.parametrize("mode", [0o666, 0o606, 0o662, 0o660])
def test_a_file_of_settings_that_others_may_write_is_named_with_the_remedy(project: Path, name: str, mode: int) -> None:
    (project / ".env").write_text("SMS_ACCOUNTS=accounts.toml\n", "utf-8")
    (project / "accounts.toml").write_text("[apps.a]\napi_key = 'k'\napi_secret = 's'\n", "utf-8")
    os.chown(project / name, -1, NOBODY if IS_ROOT else -1)
    (project / name).chmod(mode)

    if not IS_ROOT and mode == 0o660:
        pytest.skip("the group may be that of this user alone")
    with pytest.raises(SettingsError, match=rf"^(\.env|SMS_ACCOUNTS): {project / name} can be changed by .*; chmod "):
        load_accounts(load_settings())


@pytest.mark.skipif(not IS_ROOT, reason="only root gives files away")
def test_a_file_of_another_user_is_refused_wherever_it_is(project: Path) -> None:
    (project / ".env").write_text(PLANTED, "utf-8")
    os.chown(project / ".env", NOBODY, NOBODY)
    with pytest.raises(SettingsError, match=r"^\.env: .* belongs to user (nobody|65534), but this is user root"):
        load_settings()


@pytest.mark.skipif(not IS_ROOT, reason="only root gives files away")
def test_a_folder_of_another_user_is_one_that_others_may_write(project: Path) -> None:
    (project.parent / ".env").write_text(PLANTED, "utf-8")
    os.chown(project.parent, NOBODY, NOBODY)
    assert env_file() is None


def test_a_fifo_or_a_file_without_end_is_refused_and_not_waited_for(project: Path) -> None:
    os.mkfifo(project / ".env", 0o600)
    with pytest.raises(SettingsError, match=r"^\.env: .* is not a regular file"):
        load_settings()
    (project / ".env").unlink()
    with (project / ".env").open("wb") as sparse:
        sparse.truncate(20 << 30)
    with pytest.raises(SettingsError, match=r"^\.env: .* is larger than 1 MiB"):
        load_settings()


def test_a_file_that_is_not_utf8_ends_in_one_line_without_its_content(project: Path) -> None:
    (project / ".env").write_bytes(b"SMS_API_SECRET=s3cr\xe9t\n")
    with pytest.raises(SettingsError, match=r"^\.env: .* is not UTF-8 text; save it as UTF-8$"):
        load_settings()


def test_a_secret_keeps_what_looks_like_a_variable(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/of-somebody")
    (project / ".env").write_text("SMS_API_SECRET=a${HOME}b\nOTHER_SECRET='${HOME}'c$HOME\n", "utf-8")
    assert revealed(load_settings().api_secret) == "a${HOME}b"
    (project / ".env").write_text("OTHER_SECRET=a${HOME}b\n", "utf-8")
    assert revealed(environment_secret("OTHER_SECRET")) == "a${HOME}b"

    monkeypatch.setenv("OTHER_SECRET", "a/home/of-somebodyb")  # as Dagster copies it
    assert revealed(environment_secret("OTHER_SECRET")) == "a${HOME}b"
    monkeypatch.setenv("OTHER_SECRET", "of the environment")
    assert revealed(environment_secret("OTHER_SECRET")) == "of the environment"


def test_doctor_notes_secrets_that_every_user_can_read(project: Path) -> None:
    (project / ".env").write_text("SMS_API_KEY=k\n", "utf-8")
    (project / ".env").chmod(0o644)
    (said,) = [remark for remark in remarks(load_settings()) if remark.subject == "env file"]
    assert said.is_advice
    assert said.text.endswith(f"chmod 600 {project / '.env'}")
    (project / ".env").chmod(0o600)
    (said,) = [remark for remark in remarks(load_settings()) if remark.subject == "env file"]
    assert (said.is_advice, said.text) == (False, f"{project / '.env'} is read")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Give a folder to run commands in."""
    (tmp_path / "place").mkdir()
    with opened_place(tmp_path / "place") as place:
        yield place


def test_the_commands_end_with_status_2_and_one_line(place: Place) -> None:
    (place.folder / ".env").write_text("", "utf-8")
    (place.folder / ".env").chmod(0o666)
    for command in (("doctor",), ("run",), ("status",), ("ui", "--port", "1")):
        done = place.run(*command, status=2)
        assert done.stderr.count("\n") == 1
        assert f".env: {place.folder / '.env'} can be changed by every user; chmod go-w it" in done.stderr


def test_the_demo_keeps_its_settings_to_its_owner_and_follows_no_planted_link(tmp_path: Path) -> None:
    from assets.cli.demo import write_env  # noqa: PLC0415 - Dagster takes a second to import

    victim = tmp_path / "victim"
    victim.write_text("mine", "utf-8")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "sent-2026-01-01.jsonl").touch()
    (tmp_path / ".env").symlink_to(victim)
    write_env(tmp_path, "http://127.0.0.1:1/sms")

    assert victim.read_text("utf-8") == "mine"
    assert stat.S_IMODE((tmp_path / ".env").lstat().st_mode) == 0o600
