"""Accounts: the credentials and base URL of each app.

What belongs here: the file of `SMS_ACCOUNTS`, and the default account from the settings. What does not: requests.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from pipeline.model.errors import SettingsError
from pipeline.model.settings import Settings, check_base_url, environment_secret, revealed
from pipeline.model.trusted import read_trusted

_FIELDS = frozenset({"api_key", "api_secret", "api_secret_env", "base_url"})
_FINGERPRINT_DIGITS = 8
_UNFIT_KEY = "must be printable ASCII without blanks, since it is sent in an HTTP header"


@dataclass(frozen=True)
class Account:
    """Credentials for one base URL, used by one or more apps."""

    base_url: str
    api_key: SecretStr
    api_secret: SecretStr

    @property
    def fingerprint(self) -> str:
        """What tells the key from others and does not tell the key: too short to find the one that it is of."""
        text = f"sms-delivery: account {self.base_url} {self.api_key.get_secret_value()}"
        return hashlib.sha256(text.encode()).hexdigest()[:_FINGERPRINT_DIGITS]


@dataclass(frozen=True)
class Accounts:
    """Named accounts by app, and the default account for all other apps."""

    default: Account | None
    named: dict[str, Account] = field(default_factory=dict)

    def of(self, app_id: str) -> Account | None:
        """Return the account of an app; None if it has none."""
        return self.named.get(app_id, self.default)

    def by_app(self) -> dict[str | None, Account]:
        """Return each account by the app that it is named for; under None the one of all other apps."""
        return dict(self.named) | ({None: self.default} if self.default else {})


def load_accounts(settings: Settings) -> Accounts:
    """Return the accounts of the settings and of the file of `SMS_ACCOUNTS`.

    Raises:
        SettingsError: there is no account, or the file is invalid.
    """
    named = _named(settings.accounts, settings.api_base_url) if settings.accounts else {}
    missing = [f"SMS_{name.upper()}" for name in ("api_key", "api_secret") if not revealed(getattr(settings, name))]
    if len(missing) == 2 and named:  # noqa: PLR2004 - neither is set: no default account
        return Accounts(None, named)
    if missing:
        raise SettingsError(f"{missing[0]}: is needed to ask the API, and is not set")
    if settings.api_key is None or settings.api_secret is None:
        raise AssertionError("checked above")
    if not _fits_header(revealed(settings.api_key)):
        raise SettingsError(f"SMS_API_KEY: {_UNFIT_KEY}")
    return Accounts(Account(settings.api_base_url, settings.api_key, settings.api_secret), named)


def named_apps(settings: Settings) -> frozenset[str]:
    """Return the apps that the settings name: `SMS_APP_ID` and those of the file of `SMS_ACCOUNTS`.

    Raises:
        SettingsError: the file is invalid.
    """
    path = settings.accounts
    apps = _apps_named(path, path.stat().st_mtime_ns if path.exists() else 0) if path else frozenset()
    return apps | ({settings.app_id} if settings.app_id else frozenset())


def readable_apps(settings: Settings) -> frozenset[str]:
    """Return the apps as `named_apps` does, none of a file that is invalid: each run refuses it by `check_inputs`."""
    try:
        return named_apps(settings)
    except SettingsError:
        return frozenset()


@lru_cache(maxsize=4)
def _apps_named(path: Path, mtime_ns: int) -> frozenset[str]:  # noqa: ARG001 - the state of the file that was read
    return frozenset(_apps_in(path))


def _fits_header(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key


def check_inputs(settings: Settings) -> None:
    """Check that the settings of a run name sent logs and credentials, and places that fit together.

    Raises:
        SettingsError: they do not; one line that names the setting.
    """
    if not settings.sent_logs:
        raise SettingsError("SMS_SENT_LOGS: is needed to know which messages were sent, and is not set")
    load_accounts(settings)
    settings.check_places()


def _named(path: Path, base_url: str) -> dict[str, Account]:
    return {app_id: _account(path, app_id, entry, base_url) for app_id, entry in _apps_in(path).items()}


def _apps_in(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(read_trusted(path, "SMS_ACCOUNTS"))
    except tomllib.TOMLDecodeError:
        # The parser's message may quote a line with a secret.
        raise SettingsError(f"SMS_ACCOUNTS: {path} is not a TOML file") from None
    apps = content.get("apps")
    if not isinstance(apps, dict) or content.keys() != {"apps"}:
        raise SettingsError(f"SMS_ACCOUNTS: {path} must contain tables [apps.APPID] and nothing else")
    return apps


def _account(path: Path, app_id: str, entry: Any, base_url: str) -> Account:
    where = f"SMS_ACCOUNTS: {path}: [apps.{app_id}]"
    if not isinstance(entry, dict):
        raise SettingsError(f"{where} must be a table")
    if unknown := sorted(entry.keys() - _FIELDS):
        raise SettingsError(f"{where}: {unknown[0]} is not one of {', '.join(sorted(_FIELDS))}")
    if not all(isinstance(value, str) and value for value in entry.values()):
        raise SettingsError(f"{where}: every value must be a non-empty string")
    if "api_key" not in entry:
        raise SettingsError(f"{where}: api_key is missing")
    if not _fits_header(entry["api_key"]):
        raise SettingsError(f"{where}: api_key {_UNFIT_KEY}")
    try:
        base_url = check_base_url(entry.get("base_url", base_url))
    except ValueError as error:
        raise SettingsError(f"{where}: base_url {error}") from None
    return Account(base_url, SecretStr(entry["api_key"]), _secret(where, entry))


def _secret(where: str, entry: dict[str, str]) -> SecretStr:
    if ("api_secret" in entry) == ("api_secret_env" in entry):
        raise SettingsError(f"{where}: give either api_secret or api_secret_env")
    if "api_secret" in entry:
        return SecretStr(entry["api_secret"])
    secret = environment_secret(entry["api_secret_env"])
    if secret is None:
        raise SettingsError(f"{where}: the variable {entry['api_secret_env']} is not set")
    return secret
