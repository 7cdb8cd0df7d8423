"""Settings: read from the environment and `.env`, validated once, never printed with secrets.

What belongs here: every `SMS_…` variable, its default and its rule; this is the only module that reads the environment.
What does not: accounts of further apps (`accounts`). Every setting is a row of the README's table, which a test checks.
"""

from __future__ import annotations

import glob
import math
import os
import re
import string
import warnings
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from pipeline.model.bucket_urls import STORE_VARIABLES, bucket_url, check_pattern, copies_name, file_url, is_url
from pipeline.model.env_file import env_file_of, env_values
from pipeline.model.errors import SettingsError
from pipeline.model.log_settings import log_fields, time_format
from pipeline.model.phone_numbers import NumberPolicy, key_fault

PREFIX = "SMS_"
NUMBERS_KEY = "SMS_NUMBERS_KEY"
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
UNSAFE_LAKE_CHARACTERS = "%[]*?"
"""delta-rs fails on `%`, `[` and `]`; DuckDB reads all but `%` as glob patterns."""
MOST_LABELS = 5
"""Fields of `SMS_SENT_LOG_LABELS`: each is a dimension of the roll-ups."""
API_MEMORY = timedelta(days=90)
"""How long the platform can be asked about a message (protocol: 90 to 120 days; the shorter is sure)."""
CLOCK_TOLERANCE = timedelta(hours=1)
"""A stored instant further ahead of now is of a clock that was wrong. One within it counts as now: a run's start is
earlier than what others did meanwhile."""
MOST_KEPT_DAYS = 36_500
"""Most days of `SMS_KEEP_DAYS`, a century: a date must be left."""
SHORTEST_TOKEN = 16
"""Characters of the shortest `SMS_PUSH_TOKEN`."""
_OWNER = 0o600
_TOGETHER = "set SMS_LAKE to a URL, too, or SMS_DUCKDB to a path"
_NUMBERS_HIDDEN = "numbers:2"
"""Version of what hiding numbers means: senders, orders and labels too, since 2. Logs are read again after a change."""


def _zone(value: object) -> ZoneInfo:
    if isinstance(value, ZoneInfo):
        return value
    try:
        return ZoneInfo(str(value))
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("must be the name of a time zone, for example UTC or Europe/Berlin") from error


def _file_mode(value: object) -> int:
    if isinstance(value, int):
        return value
    text = str(value)
    if not re.fullmatch(r"0?o?[0-7]{3}", text) or int(text[-3:], 8) & _OWNER != _OWNER:
        raise ValueError("must be an octal mode with read and write permission for the owner, for example 0640")
    mode = int(text[-3:], 8)
    if mode & 0o111:
        raise ValueError("must not contain x bits; folders get theirs from the read bits")
    return mode


def _path_elsewhere(value: Path) -> Path:
    if not value.is_absolute() or any(character in str(value) for character in f"{UNSAFE_LAKE_CHARACTERS}{{}}\n"):
        raise ValueError(f"must be an absolute path without {' '.join(UNSAFE_LAKE_CHARACTERS)} {{ }}")
    return value


def _memory_limit(value: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?\s*(KB|MB|GB|TB|KiB|MiB|GiB|TiB)", value.strip(), re.IGNORECASE):
        raise ValueError("must be a size, for example 400MB or 2GB")
    return value.strip()


def size_in_bytes(text: str) -> int:
    """Return a size such as 400MB or 2GiB in bytes."""
    number = text.rstrip(string.ascii_letters + " ")
    unit = text.removeprefix(number).strip().upper()
    return int(float(number) * (1024 if "I" in unit else 1000) ** (1 + "KMGT".index(unit[0])))


def check_base_url(url: str) -> str:
    """Return `url` without a trailing slash.

    Raises:
        ValueError: it is no URL, has a query, a user or a password, or is plain http to a host other than loopback.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be a URL, for example https://api.itniotech.com/sms")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("must have a port from 0 to 65535, or none") from None
    if parts.username or parts.password:
        raise ValueError("must not contain a user or a password")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        raise ValueError("must be https; plain http is allowed for a loopback host only")
    return url.strip().rstrip("/")


Zone = Annotated[ZoneInfo, BeforeValidator(_zone)]


class Settings(BaseModel):
    """All settings; attribute `x_y` is the environment variable `SMS_X_Y`."""

    _urls: Mapping[str, str] = PrivateAttr(default_factory=dict)

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    api_base_url: Annotated[str, AfterValidator(check_base_url)] = "https://api.itniotech.com/sms"
    api_key: SecretStr | None = None
    api_secret: SecretStr | None = None
    app_id: str | None = None
    sent_logs: tuple[str, ...] = ()
    sent_log_timezone: Zone = ZoneInfo("UTC")
    sent_log_labels: tuple[str, ...] = ()
    sent_log_fields: Annotated[tuple[tuple[str, str], ...], BeforeValidator(log_fields)] = ()
    sent_log_time_format: Annotated[str, AfterValidator(time_format)] | None = None
    lake: Path = Path("data/lake")
    cache: Path = Path("~/.cache/sms-delivery")
    cache_limit: Annotated[str, AfterValidator(_memory_limit)] = "10GB"
    lake_at: Annotated[Path, AfterValidator(_path_elsewhere)] | None = None
    duckdb: Path = Path("data/analytics.duckdb")
    report: Path = Path("data/report.html")
    timezone: Zone = ZoneInfo("UTC")
    start_date: date = date(2024, 1, 1)
    batch_size: int = Field(200, ge=1, le=200)
    max_concurrency: int = Field(8, ge=1, le=256)
    max_requests_per_second: float = Field(10, ge=0, allow_inf_nan=False)
    timeout_seconds: float = Field(30, gt=0, allow_inf_nan=False)
    max_attempts: int = Field(5, ge=1, le=100)
    unknown_after_hours: float = Field(72, gt=0, allow_inf_nan=False)
    give_up_after_days: float = Field(7, gt=0, le=API_MEMORY.days)
    accounts: Path | None = None
    file_mode: Annotated[int, BeforeValidator(_file_mode)] = 0o640
    snapshot_hours: float = Field(24, ge=0, allow_inf_nan=False)
    keep_days: int | None = Field(None, ge=1, le=MOST_KEPT_DAYS)
    keep_numbers_days: int | None = Field(None, ge=1, le=MOST_KEPT_DAYS)
    memory_limit: Annotated[str, AfterValidator(_memory_limit)] = "400MB"
    alert_webhook: SecretStr | None = None
    numbers: Literal["keep", "mask", "hash", "drop"] = "keep"
    numbers_key: SecretStr | None = None
    push_token: SecretStr | None = None
    pushed_reports: Path | None = None
    schedules: Literal["on", "off"] = "off"
    run_history_days: float = Field(30, gt=0, allow_inf_nan=False)
    dagster_url: str | None = None
    asset_prefix: str | None = Field(None, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")

    @field_validator("sent_logs", mode="before")
    @classmethod
    def _split_patterns(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("report", "cache", mode="before")
    @classmethod
    def _local_path(cls, value: object) -> object:
        if is_url(value):
            raise ValueError("must be a local path; SMS_DUCKDB=s3://… puts the published file and the page in a bucket")
        return value

    @field_validator("sent_logs")
    @classmethod
    def _known_stores(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in filter(is_url, value):
            check_pattern(pattern)
        return value

    @field_validator("sent_log_labels", mode="before")
    @classmethod
    def _split_labels(cls, value: object) -> object:
        names = tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
        if isinstance(names, tuple) and len({name.lower() for name in names}) != len(names):
            raise ValueError("must name each field once")
        if isinstance(names, tuple) and len(names) > MOST_LABELS:
            raise ValueError(f"must name at most {MOST_LABELS} fields")
        return names

    @field_validator("alert_webhook")
    @classmethod
    def _safe_webhook(cls, value: SecretStr | None) -> SecretStr | None:
        parts = urlsplit(value.get_secret_value().strip()) if value else None
        if parts and not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS)):
            raise ValueError("must be an https URL; plain http is allowed for a loopback host only")
        return value

    @field_validator("push_token")
    @classmethod
    def _long_token(cls, value: SecretStr | None) -> SecretStr | None:
        token = value.get_secret_value() if value else ""
        if token and (len(token) < SHORTEST_TOKEN or not re.fullmatch(r"[A-Za-z0-9._~-]+", token)):
            raise ValueError(
                f"must have at least {SHORTEST_TOKEN} characters, each a letter, a digit or one of - . _ ~; "
                "make one with `openssl rand -hex 32`"
            )
        return value

    @field_validator("keep_days")
    @classmethod
    def _kept_until_settled(cls, value: int | None, info: ValidationInfo) -> int | None:
        """Rates of a day stay as they are when its messages go, so these must be settled."""
        asked, silent = info.data.get("give_up_after_days", 0), info.data.get("unknown_after_hours", 0) / 24
        fewest = math.ceil(max(asked, silent)) + 1
        if value is not None and value < fewest:
            raise ValueError(f"must be at least {fewest}: messages are followed until then")
        return value

    @field_validator("lake")
    @classmethod
    def _plain_lake_path(cls, value: Path) -> Path:
        text = str(value)
        if any(character in text for character in UNSAFE_LAKE_CHARACTERS):
            raise ValueError(f"must not contain any of {' '.join(UNSAFE_LAKE_CHARACTERS)}")
        return value

    @property
    def lake_url(self) -> str | None:
        """URL of the lake in a bucket; `lake` is then the folder of this machine's copies. None for a folder."""
        return self._urls.get("lake")

    @property
    def lake_place(self) -> str:
        """Where the lake is, for a person: its folder or URL."""
        return self.lake_url or str(self.lake)

    @property
    def duckdb_url(self) -> str | None:
        """URL of the published file in a bucket; `duckdb` is then this machine's copy of the newest one."""
        return self._urls.get("duckdb")

    @property
    def duckdb_place(self) -> str:
        """Where the published file is, for a person: its path or URL."""
        return self.duckdb_url or str(self.duckdb)

    @property
    def cache_bytes(self) -> int:
        """`SMS_CACHE_LIMIT` in bytes."""
        return size_in_bytes(self.cache_limit)

    def with_places_in_buckets(self, urls: Mapping[str, str]) -> Settings:
        """Return these settings with the lake, the published file or both in a bucket, by attribute: their URLs."""
        paths = {name: self._copies_of(url) for name, url in urls.items()}
        if "duckdb" in urls:
            paths["duckdb"] /= urls["duckdb"].rpartition("/")[2]
        found = self.model_copy(update=paths)
        found._urls = dict(urls)  # noqa: SLF001 - our own, no setting of its own
        return found

    def _copies_of(self, url: str) -> Path:
        """Return the folder of this machine's copies of what is below a URL."""
        endpoints = sorted(value for name, value in store_variables(url).items() if "ENDPOINT" in name)
        copies = self.cache / copies_name(url, " ".join(endpoints))
        if any(character in str(copies) for character in UNSAFE_LAKE_CHARACTERS):
            raise SettingsError(f"SMS_CACHE: the path must not contain any of {' '.join(UNSAFE_LAKE_CHARACTERS)}")
        return copies

    def check_places(self) -> None:
        """Check that whoever reads the published file can reach what its views name.

        Raises:
            SettingsError: it is to be in a bucket, and the lake is in a folder.
        """
        if self.duckdb_url and not self.lake_url:
            raise SettingsError(
                f"SMS_DUCKDB: is in a bucket, but its views would name files of {self.lake}; {_TOGETHER}"
            )

    @property
    def unknown_after(self) -> timedelta:
        """Age at which a message without a final answer becomes `unknown`."""
        return timedelta(hours=self.unknown_after_hours)

    @property
    def give_up_after(self) -> timedelta:
        """Age after which a message that was asked for before is not asked for again."""
        return timedelta(days=self.give_up_after_days)

    @property
    def recorded(self) -> dict[str, str]:
        """Settings that can't change once the lake exists, by name; of the key its fingerprint."""
        fixed = {"SMS_TIMEZONE": self.timezone.key, "SMS_NUMBERS": self.numbers}
        if self.numbers == "hash":
            fixed[NUMBERS_KEY] = number_policy(self).fingerprint
        return fixed

    @property
    def logs_read_with(self) -> tuple[object, ...]:
        """Settings that change what is read from a log: if one changes, every log is read again."""
        others = sorted(name for name in type(self).model_fields if name.startswith("sent_log_"))
        given = [(name, getattr(self, name)) for name in others if name != "sent_log_timezone" and getattr(self, name)]
        hidden = () if self.numbers == "keep" else (_NUMBERS_HIDDEN,)
        return (self.sent_log_timezone.key, self.app_id, self.start_date, *given, *hidden)

    def today(self, now: datetime) -> date:
        """Return the day of `now` in `SMS_TIMEZONE`."""
        return now.astimezone(self.timezone).date()


def load_settings(*, folder: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings; relative paths become absolute.

    Arguments win over the environment, the environment over `.env` (`env_file`).

    Raises:
        SettingsError: a value is wrong; one line with the name of the setting, without its value. Or others may write
            the `.env`.
    """
    folder = (folder or Path.cwd()).resolve()
    found = env_file_of(folder)
    given = _given_values(env_values(found) if found else {})
    _warn_about_unknown(given)
    values: dict[str, Any] = {name: value for name, value in given.items() if value} | overrides
    urls = _urls_in(values)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError(_first_error(error)) from None
    if settings.numbers == "hash":
        _check_numbers_key(revealed(settings.numbers_key))
    settings = settings.model_copy(update=_absolute_paths(settings, found.parent if found else folder))
    return settings.with_places_in_buckets(urls)


def _urls_in(values: dict[str, Any]) -> dict[str, str]:
    """Take the URLs of the lake and of the published file out of the values.

    Raises:
        SettingsError: one is a URL of something else.
    """
    urls = {}
    for name, checked in (("lake", bucket_url), ("duckdb", file_url)):
        if is_url(values.get(name)):
            try:
                urls[name] = checked(values.pop(name))
            except ValueError as error:
                raise SettingsError(f"{PREFIX}{name.upper()}: {error}") from None
    return urls


def _given_values(of_file: Mapping[str, str]) -> dict[str, str]:
    """Return the values of all `SMS_…` variables by the attribute's name; those of the environment win unless empty."""
    values: dict[str, str] = {}
    for variables in (of_file, os.environ):  # noqa: TID251 - this is the module that may read it
        for name, value in variables.items():
            if name.upper().startswith(PREFIX):
                key = name[len(PREFIX) :].lower()
                values[key] = value or values.get(key, "")
    return values


def _check_numbers_key(key: str) -> None:
    if not key:
        raise SettingsError(f"{NUMBERS_KEY}: is needed for SMS_NUMBERS=hash, and is not set")
    if fault := key_fault(key):
        raise SettingsError(f"{NUMBERS_KEY}: {fault}; make one with `openssl rand -hex 32`")


def _absolute_paths(settings: Settings, folder: Path) -> dict[str, object]:
    paths: dict[str, object] = {
        name: folder / Path(value).expanduser()
        for name in ("lake", "cache", "duckdb", "report", "accounts", "pushed_reports")
        if (value := getattr(settings, name)) is not None
    }
    if any(character in str(paths["lake"]) for character in UNSAFE_LAKE_CHARACTERS):
        raise SettingsError(
            f"SMS_LAKE: the path must not contain any of {' '.join(UNSAFE_LAKE_CHARACTERS)}: {paths['lake']}"
        )
    paths["sent_logs"] = tuple(_absolute_pattern(pattern, folder) for pattern in settings.sent_logs)
    return paths


def _absolute_pattern(pattern: str, folder: Path) -> str:
    if is_url(pattern):
        return pattern
    expanded = Path(pattern).expanduser()
    return str(expanded) if expanded.is_absolute() else f"{glob.escape(str(folder))}/{pattern}"


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = PREFIX + "_".join(str(part) for part in first["loc"][:1]).upper()
    return f"{name}: {first['msg'].removeprefix('Value error, ')}"


def _warn_about_unknown(given: Mapping[str, str]) -> None:
    for name in sorted(given.keys() - Settings.model_fields.keys()):
        warnings.warn(f"{PREFIX}{name.upper()}: is not a setting of sms-delivery; it is ignored", stacklevel=3)


def has_own_settings(folder: Path | None = None) -> bool:
    """Return whether there is a `.env`, or a variable for the API key, sent logs, accounts or lake."""
    decisive = ("api_key", "sent_logs", "accounts", "lake")
    names = {name.upper() for name in os.environ}  # noqa: TID251 - this is the module that may read it
    return any(PREFIX + name.upper() in names for name in decisive) or env_file(folder) is not None


def env_file(folder: Path | None = None) -> Path | None:
    """Return the `.env` that is read: that of `folder` (default: the working directory), or the nearest above it.

    Above the first folder that others may write none is looked for: they could plant one.
    """
    return env_file_of((folder or Path.cwd()).resolve())


def environment_with(values: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with further variables, for a child process."""
    return {**os.environ, **values}  # noqa: TID251 - this is the module that may read it


def restore_environment(given: Mapping[str, str]) -> None:
    """Set this process's variables to those that were given, so that each run reads `.env` anew.

    Dagster's commands copy `.env` into the environment when they start, where it would hide later corrections. Other
    variables that `.env` names get their present value: they may be secrets of the file of `SMS_ACCOUNTS`.

    Raises:
        SettingsError: the `.env` can't be read; our own variables are set.
    """
    for name in [name for name in os.environ if name.startswith(PREFIX)]:  # noqa: TID251 - the module that may
        del os.environ[name]  # noqa: TID251 - as above
    os.environ.update({n: v for n, v in given.items() if n.startswith(PREFIX)})  # noqa: TID251 - as above
    file = env_file()
    for name, value in (env_values(file, expanded=True) if file else {}).items():
        if not name.startswith((PREFIX, "DAGSTER_")):
            os.environ[name] = given.get(name, value)  # noqa: TID251 - as above


def environment_secret(name: str) -> SecretStr | None:
    """Return the value of a variable of the environment, else of `.env`; None if it is empty or not set."""
    value = os.environ.get(name)  # noqa: TID251 - this is the module that may read it
    if (file := env_file()) is not None:
        written = env_values(file).get(name)
        # Dagster's copy of the line in the environment has `${...}` expanded, which may be a part of the secret
        if written and (not value or ("$" in written and value == env_values(file, expanded=True)[name])):
            value = written
    return SecretStr(value) if value else None


def store_variables(url: str) -> dict[str, str]:
    """Return the variables that say how to reach a bucket, of `.env` and of the environment, which wins."""
    file = env_file()
    written = env_values(file) if file else {}
    names = STORE_VARIABLES[url.partition(":")[0]]
    found = {name: os.environ.get(name) or written.get(name) for name in names}  # noqa: TID251 - the module that may
    return {name: value for name, value in found.items() if value}


def is_loopback(url: str) -> bool:
    """Say whether a URL is of this machine."""
    return urlsplit(url).hostname in LOOPBACK_HOSTS


def revealed(secret: SecretStr | None) -> str:
    """Return the text of a secret; empty if there is none."""
    return secret.get_secret_value() if secret is not None else ""


def number_policy(settings: Settings) -> NumberPolicy:
    """Return the treatment of phone numbers before they are stored."""
    return NumberPolicy(mode=settings.numbers, key=revealed(settings.numbers_key).encode())


def checked_lake_at(path: Path) -> Path:
    """Return the path at which readers see the lake.

    Raises:
        SettingsError: a view can't name it.
    """
    try:
        return _path_elsewhere(path)
    except ValueError as error:
        raise SettingsError(f"--lake-at: {error}") from error


def given_settings(folder: Path, **values: Any) -> Settings:
    """Return settings from these values and defaults, without the environment; paths start from `folder`."""
    urls = _urls_in(values)
    settings = Settings(**values)
    settings = settings.model_copy(update=_absolute_paths(settings, folder.resolve()))
    return settings.with_places_in_buckets(urls)
