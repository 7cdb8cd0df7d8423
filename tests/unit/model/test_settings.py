"""Settings: where they come from, and that a wrong one is told in one line that shows no secret."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.collect.fields import RawFields
from pipeline.model.errors import SettingsError
from pipeline.model.log_settings import LOG_FIELDS
from pipeline.model.settings import Settings, check_base_url, load_settings, number_policy

SECRET = "s3cret-of-nobody"
GOOD_KEY = "a good key has 32 characters, ok"
SECRETS = {
    "SMS_API_KEY": "the-key",
    "SMS_API_SECRET": SECRET,
    "SMS_NUMBERS_KEY": "the-numbers-key",
    "SMS_ALERT_WEBHOOK": "https://hooks.example/T000/secret-path",
}


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set variables (and no other of the prefix is there)."""
    for name in list(os.environ):  # noqa: TID251 - to take it away
        if name.upper().startswith("SMS_"):
            monkeypatch.delenv(name)

    def put(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return put


def complaint(folder: Path, **values: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        load_settings(folder=folder, **values)
    assert raised.value.__cause__ is None
    return str(raised.value)


def test_without_any_setting_the_defaults_hold(tmp_path: Path, env: Callable[..., None]) -> None:
    env()
    settings = load_settings(folder=tmp_path)

    assert settings.api_base_url == "https://api.itniotech.com/sms"
    assert (settings.api_key, settings.api_secret, settings.app_id, settings.accounts) == (None,) * 4
    assert (settings.batch_size, settings.max_concurrency, settings.max_attempts) == (200, 8, 5)
    assert (settings.max_requests_per_second, settings.timeout_seconds) == (10, 30)
    assert (settings.unknown_after_hours, settings.give_up_after_days, settings.snapshot_hours) == (72, 7, 24)
    assert (settings.start_date, settings.file_mode, settings.numbers) == (date(2024, 1, 1), 0o640, "keep")
    assert (str(settings.timezone), str(settings.sent_log_timezone)) == ("UTC", "UTC")
    assert settings.memory_limit == "400MB"
    assert settings.sent_logs == ()


WRONG = {
    "SMS_API_BASE_URL": ["", "api.itniotech.com", "ftp://a.example", "https://", "https://a.example/?x=1"],
    "SMS_SENT_LOG_LABELS": ["a,b,c,d,e,f", "campaign,Campaign"],
    "SMS_SENT_LOG_TIMEZONE": ["Mars/Olympus", "../etc/passwd", "+25:00"],
    "SMS_SENT_LOG_FIELDS": ["Reference", "id=Reference", "msg_id", "msg_id=", "msg_id=a,msg_id=b", "msg_id=a,number=a"],
    "SMS_SENT_LOG_TIME_FORMAT": ["x", "%d/%m/%Y", "%H:%M", "%Q %Y", "%d/%m/%y %I:%M"],
    "SMS_TIMEZONE": ["Europe/Nowhere", "/etc/localtime"],
    "SMS_START_DATE": ["yesterday", "2024-02-30", "24-01-01"],
    "SMS_BATCH_SIZE": ["0", "201", "-5", "many", "1.5"],
    "SMS_MAX_CONCURRENCY": ["0", "-1", "x"],
    "SMS_MAX_REQUESTS_PER_SECOND": ["-1", "nan", "inf", "x"],
    "SMS_TIMEOUT_SECONDS": ["0", "-3", "inf", "nan"],
    "SMS_MAX_ATTEMPTS": ["0", "x"],
    "SMS_UNKNOWN_AFTER_HOURS": ["0", "-1", "nan", "inf"],
    "SMS_GIVE_UP_AFTER_DAYS": ["0", "91", "nan"],
    "SMS_FILE_MODE": ["0777", "0400", "rw-r-----", "9", "0640640", "750"],
    "SMS_SNAPSHOT_HOURS": ["-1", "nan", "inf"],
    "SMS_KEEP_DAYS": ["0", "7", "-1", "8.5", "40000", "long"],
    "SMS_KEEP_NUMBERS_DAYS": ["0", "-1", "nan"],
    "SMS_RUN_HISTORY_DAYS": ["0", "-1", "nan", "inf"],
    "SMS_SCHEDULES": ["maybe", "ON "],
    "SMS_ASSET_PREFIX": ["two words", "a/b", "1st"],
    "SMS_MEMORY_LIMIT": ["lots", "-1GB", "400", "80%", "1GB; DROP TABLE messages"],
    "SMS_PUSH_TOKEN": ["short", "a" * 15, "a/b" * 9, "with a blank in it", "ééééééééééééééééé"],
    "SMS_NUMBERS": ["KEEP!", "encrypt"],
    "SMS_LAKE": ["a%20b", "a[1]", "a]b", "a*b", "a?b", "s3://", "s3://b/../c", "s3://b/x?y=1", "file:///tmp/lake"],
    "SMS_LAKE_AT": ["lake", "/a*b", "/a{b"],
    "SMS_CACHE": ["s3://bucket/cache"],
    "SMS_CACHE_LIMIT": ["much", "-1GB", "10"],
    "SMS_DUCKDB": [
        "s3://bucket",
        "s3://bucket/a.db",
        "s3://b/x y.duckdb",
        "https://a.example/a.duckdb",
        "s3://b/1.duckdb",
    ],
    "SMS_REPORT": ["s3://bucket/report.html"],
    "SMS_SENT_LOGS": ["https://a.example/x.jsonl", "s3://bucket", "logs/*.jsonl, ftp://a.example/x"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values if value]
)
def test_a_wrong_setting_is_one_line_that_begins_with_its_name(
    name: str, value: str, tmp_path: Path, env: Callable[..., None]
) -> None:
    env(**{name: value}, **SECRETS)
    message = complaint(tmp_path)

    assert message.startswith(f"{name}: ")
    assert len(message.splitlines()) == 1
    for secret in SECRETS.values():
        assert secret not in message


def test_names_of_fields_are_pairs(settings: Callable[..., Settings]) -> None:
    given = settings(sent_log_fields=" msg_id=Reference, sent_at = Created At ,number=Dest,")
    assert given.sent_log_fields == (("msg_id", "Reference"), ("sent_at", "Created At"), ("number", "Dest"))
    assert set(RawFields._fields) == {*LOG_FIELDS, "labels"}


def test_every_setting_that_can_be_wrong_is_tried_above() -> None:
    anything_goes = {"API_KEY", "API_SECRET", "APP_ID", "ACCOUNTS"}
    anything_goes |= {"ALERT_WEBHOOK", "NUMBERS_KEY", "DAGSTER_URL", "PUSHED_REPORTS"}

    assert {name.removeprefix("SMS_") for name in WRONG} | anything_goes == {
        name.upper() for name in Settings.model_fields
    }


def test_an_empty_variable_is_one_that_is_not_set(tmp_path: Path, env: Callable[..., None]) -> None:
    env(SMS_BATCH_SIZE="", SMS_API_SECRET="", SMS_API_BASE_URL="")
    settings = load_settings(folder=tmp_path)

    assert settings.batch_size == 200
    assert settings.api_secret is None


@pytest.mark.parametrize(
    "url",
    [
        "http://api.itniotech.com/sms",
        "http://127.0.0.1.evil.example/sms",
        "http://localhost.evil.example",
        "http://10.0.0.1/sms",
        "http://0.0.0.0/sms",
        "HTTP://API.ITNIOTECH.COM/sms",
        "http://[::2]/sms",
        "http://localhost@evil.example/sms",
    ],
)
def test_plain_http_is_refused_for_every_host_but_loopback(url: str, tmp_path: Path, env: Callable[..., None]) -> None:
    env(SMS_API_BASE_URL=url)

    assert complaint(tmp_path).startswith("SMS_API_BASE_URL: ")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "127.0.0.1:8765", "LOCALHOST:1"])
def test_plain_http_is_good_on_loopback(host: str) -> None:
    assert check_base_url(f"http://{host}/sms/") == f"http://{host}/sms"


def test_a_user_or_password_in_the_url_is_refused_and_not_shown(tmp_path: Path, env: Callable[..., None]) -> None:
    env(SMS_API_BASE_URL=f"https://me:{SECRET}@api.itniotech.com/sms")

    assert SECRET not in complaint(tmp_path)


def test_a_base_url_loses_the_slash_at_its_end() -> None:
    """The vendor's sample joins `.../sms/` and `/getReport` into a double slash."""
    assert check_base_url(" https://api.itniotech.com/sms/ ") == "https://api.itniotech.com/sms"


def test_a_lake_below_a_folder_with_a_forbidden_character_is_refused(tmp_path: Path, env: Callable[..., None]) -> None:
    env()
    folder = tmp_path / "100%[done]"
    folder.mkdir()

    assert complaint(folder).startswith("SMS_LAKE: ")


def test_a_lake_in_a_bucket_has_a_folder_of_copies_and_its_url(tmp_path: Path, env: Callable[..., None]) -> None:
    env(SMS_LAKE="s3://bucket/some/lake/", SMS_CACHE=str(tmp_path / "cache"))
    settings = load_settings(folder=tmp_path)
    assert (settings.lake_url, settings.lake_place) == ("s3://bucket/some/lake",) * 2
    assert settings.lake.parent == tmp_path / "cache"
    env(SMS_LAKE="s3://bucket/some/other", SMS_CACHE=str(tmp_path / "cache"))
    assert load_settings(folder=tmp_path).lake != settings.lake


def test_a_published_file_in_a_bucket_has_a_copy_of_its_name_and_its_url(
    tmp_path: Path, env: Callable[..., None]
) -> None:
    env(SMS_DUCKDB="s3://bucket/some/analytics.duckdb", SMS_CACHE=str(tmp_path / "cache"))
    settings = load_settings(folder=tmp_path)
    assert (settings.duckdb_url, settings.duckdb_place) == ("s3://bucket/some/analytics.duckdb",) * 2
    assert settings.duckdb.name == "analytics.duckdb"
    assert settings.duckdb.parents[1] == tmp_path / "cache"
    assert settings.report == tmp_path / "data" / "report.html"
    with pytest.raises(SettingsError, match=r"^SMS_DUCKDB: is in a bucket, but its views would name files of /"):
        settings.check_places()
    env(SMS_DUCKDB="s3://bucket/some/analytics.duckdb", SMS_LAKE="s3://bucket/lake", SMS_CACHE=str(tmp_path / "cache"))
    load_settings(folder=tmp_path).check_places()


def test_a_lake_in_a_folder_has_no_url(settings: Callable[..., Settings], tmp_path: Path) -> None:
    assert (settings().lake_url, settings().lake_place) == (None, str(tmp_path / "data" / "lake"))


def test_hashing_numbers_needs_a_key(tmp_path: Path, env: Callable[..., None]) -> None:
    env(SMS_NUMBERS="hash")
    assert complaint(tmp_path).startswith("SMS_NUMBERS_KEY: ")

    env(SMS_NUMBERS_KEY=GOOD_KEY)
    assert number_policy(load_settings(folder=tmp_path)).key == GOOD_KEY.encode()


@pytest.mark.parametrize("key", ["k", GOOD_KEY[:31], "k" * 32, "ab" * 40])
def test_a_weak_key_is_refused_and_not_shown(tmp_path: Path, env: Callable[..., None], key: str) -> None:
    env(SMS_NUMBERS="hash", SMS_NUMBERS_KEY=key)
    said = complaint(tmp_path)
    assert said.startswith("SMS_NUMBERS_KEY: must have at least ")
    assert f" {key}" not in said


def test_an_unknown_variable_of_the_prefix_is_a_warning_that_names_it_and_not_its_value(
    tmp_path: Path, env: Callable[..., None]
) -> None:
    env(SMS_API_SECRT=SECRET)

    with pytest.warns(UserWarning, match=r"^SMS_API_SECRT: ") as warned:
        load_settings(folder=tmp_path)
    assert len(warned) == 1
    assert SECRET not in str(warned[0].message)


def test_an_unknown_line_of_the_env_file_is_a_warning_too(tmp_path: Path, env: Callable[..., None]) -> None:
    env()
    (tmp_path / ".env").write_text("export SMS_BATCHSIZE=5\nOTHER=1\n# SMS_COMMENT=1\n", "utf-8")

    with pytest.warns(UserWarning, match=r"^SMS_BATCHSIZE: ") as warned:
        load_settings(folder=tmp_path)
    assert len(warned) == 1


def test_known_settings_warn_of_nothing(tmp_path: Path, env: Callable[..., None]) -> None:
    env(**SECRETS, sms_batch_size="7")
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert load_settings(folder=tmp_path).batch_size == 7


def test_the_nearest_env_file_above_is_read_and_the_environment_wins_over_it(
    tmp_path: Path, env: Callable[..., None]
) -> None:
    inner = tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    (tmp_path / ".env").write_text("SMS_BATCH_SIZE=1\nSMS_MAX_ATTEMPTS=1\n", "utf-8")
    (tmp_path / "a" / ".env").write_text("SMS_BATCH_SIZE=2\nSMS_APP_ID=from-file\n", "utf-8")
    env(SMS_APP_ID="from-environment")
    settings = load_settings(folder=inner)

    assert (settings.batch_size, settings.max_attempts, settings.app_id) == (2, 5, "from-environment")
    assert load_settings(folder=inner, batch_size=3).batch_size == 3


def test_relative_paths_count_from_the_folder_of_the_env_file(tmp_path: Path, env: Callable[..., None]) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / ".env").write_text(
        "SMS_LAKE=my/lake\nSMS_ACCOUNTS=accounts.toml\nSMS_SENT_LOGS=logs/{date}.jsonl, /var/log/sms/*.csv\n", "utf-8"
    )
    env()
    settings = load_settings(folder=inner)

    assert settings.lake == tmp_path / "my/lake"
    assert settings.accounts == tmp_path / "accounts.toml"
    assert settings.duckdb == tmp_path / "data/analytics.duckdb"
    assert settings.sent_logs == (f"{tmp_path}/logs/{{date}}.jsonl", "/var/log/sms/*.csv")


def test_without_an_env_file_relative_paths_count_from_the_folder(tmp_path: Path, env: Callable[..., None]) -> None:
    env(SMS_REPORT="page.html")

    assert load_settings(folder=tmp_path).report == tmp_path / "page.html"


def test_a_folder_that_looks_like_a_pattern_is_taken_as_it_is_called(tmp_path: Path, env: Callable[..., None]) -> None:
    folder = tmp_path / "logs [old]"
    folder.mkdir()
    env(SMS_SENT_LOGS="*.jsonl", SMS_LAKE=str(tmp_path / "lake"))
    (pattern,) = load_settings(folder=folder).sent_logs

    assert pattern == f"{tmp_path}/logs [[]old]/*.jsonl"


def test_a_file_that_is_only_called_env_is_no_env_file(tmp_path: Path, env: Callable[..., None]) -> None:
    (tmp_path / ".env").mkdir()
    env()

    assert load_settings(folder=tmp_path).batch_size == 200


def test_settings_show_no_secret(tmp_path: Path, env: Callable[..., None]) -> None:
    env(**SECRETS)
    settings = load_settings(folder=tmp_path)

    for shown in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        for secret in SECRETS.values():
            assert secret not in shown
    assert settings.api_secret is not None
    assert settings.api_secret.get_secret_value() == SECRET


def test_settings_refused_without_loading_them_show_no_value_either(settings: Callable[..., Settings]) -> None:
    with pytest.raises(ValidationError) as raised:
        settings(api_base_url=f"https://:{SECRET}@a.example")
    assert SECRET not in f"{raised.value} {raised.value!r}"


@pytest.mark.parametrize(
    ("written", "mode"), [("0640", 0o640), ("640", 0o640), ("0o600", 0o600), ("0660", 0o660), ("644", 0o644)]
)
def test_a_file_mode_is_octal_with_or_without_its_zero(
    written: str, mode: int, tmp_path: Path, env: Callable[..., None]
) -> None:
    env(SMS_FILE_MODE=written)

    assert load_settings(folder=tmp_path).file_mode == mode


def test_today_is_the_day_of_the_zone(settings: Callable[..., Settings]) -> None:
    moment = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)

    assert settings(timezone="Asia/Kolkata").today(moment) == date(2026, 3, 3)
    assert settings(timezone="America/New_York").today(moment) == date(2026, 3, 2)


def test_given_settings_do_not_look_at_the_environment(
    settings: Callable[..., Settings], tmp_path: Path, env: Callable[..., None]
) -> None:
    env(SMS_BATCH_SIZE="7", SMS_NONSENSE="1")
    (tmp_path / ".env").write_text("SMS_BATCH_SIZE=9\n", "utf-8")

    assert settings().batch_size == 200
    assert settings().lake == tmp_path / "data/lake"


@pytest.mark.parametrize("url", ["https://a.example:x/sms", "https://a.example:99999/sms"])
def test_a_base_url_with_a_port_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="port"):
        check_base_url(url)


def test_labels_are_names_between_commas(tmp_path: Path, env: Callable[..., None]) -> None:
    env(SMS_SENT_LOG_LABELS=" campaign, Template Name,")
    assert load_settings(folder=tmp_path).sent_log_labels == ("campaign", "Template Name")


def test_messages_are_kept_until_they_are_no_longer_followed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Rates stay as they are when messages go, so these must be settled."""
    for name, value, fewest in (("SMS_GIVE_UP_AFTER_DAYS", "30", 31), ("SMS_UNKNOWN_AFTER_HOURS", "200", 10)):
        with monkeypatch.context() as patched:
            patched.setenv(name, value)
            patched.setenv("SMS_KEEP_DAYS", str(fewest - 1))
            with pytest.raises(SettingsError, match=f"^SMS_KEEP_DAYS: must be at least {fewest}: "):
                load_settings(folder=tmp_path)
            patched.setenv("SMS_KEEP_DAYS", str(fewest))
            assert load_settings(folder=tmp_path).keep_days == fewest
