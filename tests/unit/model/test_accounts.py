"""Accounts: which credentials go with which app, and that a file with secrets is never quoted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.model.accounts import Account, Accounts, load_accounts
from pipeline.model.errors import SettingsError
from pipeline.model.settings import Settings

SECRET = "s3cret-of-app-one"
TWO_APPS = f"""
[apps.one]
api_key = "key-one"
api_secret = "{SECRET}"
base_url = "https://api.onbuka.com/v3/"

[apps."two.with dots"]
api_key = "key-two"
api_secret = "other"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "accounts.toml"


def load(settings: Callable[..., Settings], file: Path, text: str, **values: object) -> Accounts:
    file.write_text(text, "utf-8")
    return load_accounts(settings(accounts=file, **values))


def complaint(settings: Callable[..., Settings], file: Path, text: str, **values: object) -> str:
    with pytest.raises(SettingsError) as raised:
        load(settings, file, text, **values)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    assert message.startswith("SMS_ACCOUNTS: ")
    assert SECRET not in f"{message} {raised.value!r}"
    assert SECRET not in str(raised.value.__cause__)
    return message


def secret_of(account: Account | None) -> str:
    assert account is not None
    return account.api_secret.get_secret_value()


def test_without_a_file_every_app_has_the_default_account(settings: Callable[..., Settings]) -> None:
    accounts = load_accounts(settings(api_key="k", api_secret="s", api_base_url="https://a.example/sms"))
    account = accounts.of("any")

    assert account is not None
    assert (account.base_url, account.api_key.get_secret_value(), secret_of(account)) == (
        "https://a.example/sms",
        "k",
        "s",
    )
    assert accounts.of("other") is account


def test_an_app_of_the_file_has_its_own_account_and_others_the_default(
    settings: Callable[..., Settings], file: Path
) -> None:
    accounts = load(settings, file, TWO_APPS, api_secret="default")
    one, two = accounts.of("one"), accounts.of("two.with dots")

    assert (secret_of(one), secret_of(two), secret_of(accounts.of("three"))) == (SECRET, "other", "default")
    assert one is not None
    assert two is not None
    assert one.base_url == "https://api.onbuka.com/v3"
    assert two.base_url == "https://api.itniotech.com/sms"


def test_with_a_file_and_no_default_other_apps_have_no_account(settings: Callable[..., Settings], file: Path) -> None:
    accounts = load(settings, file, TWO_APPS, api_key=None, api_secret=None)

    assert accounts.of("one") is not None
    assert accounts.of("three") is None


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"api_key": None, "api_secret": None}, "SMS_API_KEY"),
        ({"api_key": None}, "SMS_API_KEY"),
        ({"api_secret": None}, "SMS_API_SECRET"),
        ({"api_secret": ""}, "SMS_API_SECRET"),
    ],
)
def test_missing_credentials_are_named(settings: Callable[..., Settings], values: dict[str, object], name: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name}: "):
        load_accounts(settings(**values))


def test_half_a_default_is_wrong_even_beside_a_file(settings: Callable[..., Settings], file: Path) -> None:
    file.write_text(TWO_APPS, "utf-8")

    with pytest.raises(SettingsError, match=r"^SMS_API_SECRET: "):
        load_accounts(settings(accounts=file, api_secret=None))


def test_a_secret_can_be_in_a_variable_of_its_own(
    settings: Callable[..., Settings], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_ONE_SECRET", SECRET)
    accounts = load(settings, file, '[apps.one]\napi_key = "k"\napi_secret_env = "APP_ONE_SECRET"')

    assert secret_of(accounts.of("one")) == SECRET


def test_such_a_variable_may_stand_in_the_env_file_too(
    settings: Callable[..., Settings], file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("APP_ONE_SECRET", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f'APP_ONE_SECRET="{SECRET}"\n', "utf-8")
    accounts = load(settings, file, '[apps.one]\napi_key = "k"\napi_secret_env = "APP_ONE_SECRET"')

    assert secret_of(accounts.of("one")) == SECRET


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_named(
    settings: Callable[..., Settings], file: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("APP_ONE_SECRET", raising=False)
    if value is not None:
        monkeypatch.setenv("APP_ONE_SECRET", value)

    message = complaint(settings, file, '[apps.one]\napi_key = "k"\napi_secret_env = "APP_ONE_SECRET"')

    assert "APP_ONE_SECRET" in message
    assert "[apps.one]" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "[apps.APPID]"),
        ("apps = 1", "[apps.APPID]"),
        (f'[apps]\none = "{SECRET}"', "must be a table"),
        (f'[app.one]\napi_key = "k"\napi_secret = "{SECRET}"', "[apps.APPID]"),
        (f'api_secret = "{SECRET}"\n[apps.one]\napi_key = "k"', "nothing else"),
        (f'[apps.one]\napi_secret = "{SECRET}"', "api_key is missing"),
        ('[apps.one]\napi_key = "k"', "either api_secret or api_secret_env"),
        (f'[apps.one]\napi_key = "k"\napi_secret = "{SECRET}"\napi_secret_env = "X"', "either"),
        (f'[apps.one]\napi_key = "k"\napi_secret = "{SECRET}"\nsecret = "{SECRET}"', "secret is not one of"),
        ('[apps.one]\napi_key = "k"\napi_secret = ""', "non-empty string"),
        ('[apps.one]\napi_key = "k"\napi_secret = 5', "non-empty string"),
        (f'[apps.one]\napi_key = "k"\napi_secret = "{SECRET}"\nbase_url = "http://a.example"', "https"),
        (f'[apps.one]\napi_key = "k"\napi_secret = "{SECRET}"\nbase_url = "here"', "must be a URL"),
        (f'[apps.one]\napi_key = "k"\napi_secret = "{SECRET}', "not a TOML file"),
        (f'[apps.one]\napi_key = "k"\napi_secret = {SECRET}', "not a TOML file"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_told_in_one_line_without_its_secrets(
    settings: Callable[..., Settings], file: Path, text: str, expected: str
) -> None:
    message = complaint(settings, file, text)

    assert expected in message
    assert str(file) in message


def test_a_file_that_is_not_text_is_refused(settings: Callable[..., Settings], file: Path) -> None:
    file.write_bytes(b"\xff\xfe[apps]")

    with pytest.raises(SettingsError, match=r"^SMS_ACCOUNTS: .* is not UTF-8 text; save it as UTF-8$"):
        load_accounts(settings(accounts=file))


def test_a_file_that_is_not_there_is_named(settings: Callable[..., Settings], file: Path) -> None:
    with pytest.raises(SettingsError, match=r"^SMS_ACCOUNTS: .*accounts\.toml can't be read: No such file"):
        load_accounts(settings(accounts=file))


@pytest.mark.parametrize("key", ["key\n", "schlüssel", "a b", "\x7f"])
def test_a_key_that_no_header_can_carry_is_refused_before_any_call(
    settings: Callable[..., Settings], file: Path, key: str
) -> None:
    with pytest.raises(SettingsError, match=r"^SMS_API_KEY: ") as raised:
        load_accounts(settings(api_key=key))
    assert key.strip() not in str(raised.value)

    as_toml = key.encode("unicode_escape").decode().replace("\\x", "\\u00")
    assert "api_key" in complaint(settings, file, f'[apps.one]\napi_key = "{as_toml}"\napi_secret = "{SECRET}"')


def test_an_account_shows_neither_key_nor_secret(settings: Callable[..., Settings], file: Path) -> None:
    accounts = load(settings, file, TWO_APPS, api_key="key-default", api_secret="s3cret-default")

    for shown in (repr(accounts), str(accounts), repr(accounts.of("one")), f"{accounts.default}"):
        for hidden in (SECRET, "key-one", "key-default", "s3cret-default"):
            assert hidden not in shown
