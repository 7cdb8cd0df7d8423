"""What an error of a bucket's store means, in one line without a secret.

Belongs here: which error is a setting's fault, which one the store's, and which one an answer. Does not: repeating
(`store.py`). The texts of the store are never shown: some name keys, signatures or addresses with tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pipeline.model.errors import LakeError, SettingsError

_CODE: Final = re.compile(r"<Code>(\w+)</Code>|<Error>\s*<Code>(\w+)")
_STATUS: Final = re.compile(r"status code: (\d{3})|status: (\d{3})")
_PATH: Final = re.compile(r'Path "(.*?)"', re.DOTALL)
_SHOWN_NAME: Final = 200
_RETRIES: Final = re.compile(r"after [1-9][0-9]* retries")
_REFUSED: Final = {
    "NoSuchBucket": "there is no such bucket",
    "InvalidBucketName": "there is no such bucket",
    "InvalidAccessKeyId": "the store does not know the access key (AWS_ACCESS_KEY_ID)",
    "SignatureDoesNotMatch": "the store refuses the secret (AWS_SECRET_ACCESS_KEY)",
    "ExpiredToken": "the credentials have expired",
    "InvalidToken": "the store refuses the token (AWS_SESSION_TOKEN)",
    "AccessDenied": "the credentials have no right to {doing} there",
    "AllAccessDisabled": "the credentials have no right to {doing} there",
    "PermanentRedirect": "the bucket is in another region: set AWS_REGION",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set AWS_REGION",
    "NotImplemented": "the store does not know conditional put, so that commits of two runs would be lost; use another",
}
_REFUSED_BY: Final = {
    r"169\.254\.|metadata\.google": "there are no credentials: set the variables of the store (AWS_ACCESS_KEY_ID, …)",
    r"must be specified|MissingAccount|Missing\w+KeyId|MissingSecret": "a variable of its credentials is missing",
    r"builder error|BadScheme": "the endpoint is no address, or plain http, which AWS_ALLOW_HTTP=true allows",
    r"status code: 40[13]|status: 40[13]": "the store refuses: check the credentials and their rights",
}
_FAILED: Final = {
    "RequestTimeTooSkewed": "this machine's clock is off by minutes: set it (NTP)",
    "SlowDown": "the store is overloaded (SlowDown); the next run goes on",
    "ServiceUnavailable": "the store is overloaded (503); the next run goes on",
}


class StoreError(LakeError):
    """The store did not do what was asked."""


class StoreBusyError(StoreError):
    """The store gave no usable answer; `is_final` if asking again at once is of no use: the library did."""

    is_final = False


class AlreadyThereError(StoreError):
    """An object was to be created, and is there."""


class ChangedMeanwhileError(StoreError):
    """An object was to be replaced, and is no longer the one that was read."""


class UncertainError(LakeError):
    """A text was to be created, and the store does not say whether it was."""


@contextmanager
def translated(setting: str, url: str) -> Iterator[None]:
    """Translate errors of the store's library; FileNotFoundError stays: there is no such object."""
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise SettingsError(f"{setting}: {url}: {_REFUSED['NoSuchBucket']}") from None
        raise FileNotFoundError(*error.args[:1]) if error.errno is None else error from None
    except OSError:
        raise
    except (LakeError, SettingsError):
        raise
    except Exception as error:  # noqa: BLE001 - of the library, whose errors have no base of their own
        raise _meaning(f"{setting}: {url}", type(error).__name__, str(error)) from None


def _meaning(where: str, kind: str, text: str) -> LakeError | SettingsError:
    if kind == "InvalidPathError":
        return SettingsError(f"{where}: {_strange_name(text)}")
    answers = {"AlreadyExistsError": AlreadyThereError, "PreconditionError": ChangedMeanwhileError}
    if kind in answers:
        return answers[kind](where)
    codes = [code for found in _CODE.findall(text) for code in found if code]
    for code in (code for code in codes if code in _FAILED):
        return _busy(where, _FAILED[code], is_final=True)
    if refusal := _refusal(kind, text, codes):
        return SettingsError(f"{where}: {refusal}")
    return _no_answer(where, text, codes)


def _strange_name(text: str) -> str:
    """Say which object can't be the copy of a file: names are no secrets, and are printed by `printable` alone."""
    named = _PATH.search(text)
    of_it = f" {named[1][:_SHOWN_NAME]}" if named else ""
    return f"an object{of_it} has an empty part, `.` or `..` in its name, so that it is no path: remove it"


def _refusal(kind: str, text: str, codes: list[str]) -> str | None:
    """Return why the store refuses; None if something else is wrong."""
    doing = "write" if re.search(r"performing (PUT|POST|DELETE)", text) else "read"
    for code in (code for code in codes if code in _REFUSED):
        return _REFUSED[code].format(doing=doing)
    for pattern, meaning in _REFUSED_BY.items():
        if re.search(pattern, text):
            return meaning
    if kind in {"PermissionDeniedError", "UnauthenticatedError"}:
        return f"the store refuses to {doing}: check the credentials and their rights"
    if kind == "UnknownConfigurationKeyError":
        return "a variable that says how to reach it is wrong"
    return None


def _no_answer(where: str, text: str, codes: list[str]) -> StoreBusyError:
    if re.search(r"kind: Connect|[Cc]onnection refused|dns error|error trying to connect", text):
        what = "no server answers"
    elif re.search(r"kind: Timeout|timed out", text):
        what = "the store did not answer in time"
    else:
        facts = (codes or [f"status {first or other}" for first, other in _STATUS.findall(text)])[:1]
        what = f"the store gave no usable answer{''.join(f' ({fact})' for fact in facts)}"
    return _busy(where, what, is_final=_RETRIES.search(text) is not None)


def _busy(where: str, what: str, *, is_final: bool) -> StoreBusyError:
    error = StoreBusyError(f"{where}: {what}")
    error.is_final = is_final
    return error
