"""What one HTTP response means for the caller: an envelope, or the project's error.

What belongs here: HTTP statuses and headers, envelope codes, the errors made of them; all pure. What does not:
repeating a request (`client.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final, Protocol

from pipeline.api.codes import EnvelopeCode, Remedy, envelope_code
from pipeline.api.endpoints import GET_REPORT, Endpoint
from pipeline.api.envelope import Envelope, NotTheProtocolError, decode_envelope
from pipeline.model.errors import (
    ApiRefused,
    AppRefused,
    BatchFailed,
    BatchRefused,
    CallError,
    ClockSkewed,
    Throttled,
    TransientError,
)
from pipeline.model.phone_numbers import mask_digits

_OK: Final = 200
_TOO_MANY_REQUESTS: Final = 429
_UNAVAILABLE: Final = 503
_SERVER_ERROR: Final = 500
_SUCCESS: Final = EnvelopeCode.SUCCESS.code
_PLAUSIBLE_YEARS: Final = range(2020, 2100)
_REASON_LENGTH: Final = 200
_EXCERPT_LENGTH: Final = 120


class Response(Protocol):
    """What is needed of an HTTP response."""

    @property
    def status_code(self) -> int:
        """Status of the response."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers, found whatever their case."""


def judge_response(
    response: Response,
    body: bytes,
    *,
    offset_seconds: float | None,
    observed_at: datetime,
    endpoint: Endpoint = GET_REPORT,
) -> Envelope:
    """Return the envelope of a good response.

    Args:
        response: status and headers.
        body: the whole body, decoded.
        offset_seconds: what the platform's clock shows beyond ours, as `clock_offset` read it from this response.
        observed_at: when the response was there, by our clock.
        endpoint: what was asked.

    Raises:
        CallError: of the kind that says what the caller does next.
    """
    # A date in Retry-After is by the platform's clock, which may be hours from ours.
    platform_now = observed_at + timedelta(seconds=offset_seconds or 0)
    hint = retry_after_seconds(response.headers.get("Retry-After"), now=platform_now)
    try:
        envelope = decode_envelope(body, most_elements=endpoint.most_elements)
    except NotTheProtocolError as error:
        raise _http_error(response.status_code, hint, what=str(error), body=body) from error
    if envelope.status == _SUCCESS and response.status_code == _OK:
        return envelope
    if not _envelope_decides(response.status_code, envelope, hint):
        raise _http_error(response.status_code, hint, what="its body does not say why", body=body)
    verdict = _envelope_error(envelope, response, body, hint)
    if isinstance(verdict, ClockSkewed):
        verdict.offset_seconds = offset_seconds
    raise verdict


def _envelope_decides(http_status: int, envelope: Envelope, hint: float | None) -> bool:
    """Say whether the envelope decides: with 200 always, else where its code is documented and no wait is asked for."""
    if http_status == _OK:
        return True
    if envelope.status == _SUCCESS or envelope_code(envelope.status) is None:
        return False
    return not (http_status == _UNAVAILABLE and hint is not None)


def retry_after_seconds(value: str | None, *, now: datetime) -> float | None:
    """Return the wait that a `Retry-After` header asks for, seconds or date; None where it gives no hint."""
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        seconds = float(text)
    else:
        moment = _http_date(text)
        seconds = (moment - now).total_seconds() if moment else 0.0
    return seconds if seconds > 0 else None


def clock_offset(headers: Mapping[str, str], *, sent_at: datetime, observed_at: datetime) -> float | None:
    """Return what the platform's clock shows beyond ours, in seconds; None where `Date` is missing or implausible.

    `Date` is cut to whole seconds, so half a second is added; it is compared with the middle of the exchange.
    A response with `Age` came from a cache, and its `Date` is old.
    """
    moment = _http_date(headers.get("Date", ""))
    if moment is None or "Age" in headers or moment.year not in _PLAUSIBLE_YEARS:
        return None
    middle = sent_at + (observed_at - sent_at) / 2
    return (moment - middle).total_seconds() + 0.5


@lru_cache(maxsize=64)  # all responses of a second have the same
def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _http_error(http_status: int, hint: float | None, *, what: str, body: bytes) -> CallError:
    if http_status == _TOO_MANY_REQUESTS or (http_status == _UNAVAILABLE and hint is not None):
        return Throttled(f"HTTP {http_status}: the platform asks to slow down", http_status, wait_seconds=hint)
    if http_status >= _SERVER_ERROR or http_status // 100 == _OK // 100:
        return TransientError(f"HTTP {http_status}, and {what}{_excerpt(body)}", http_status)
    if http_status // 100 == 3:  # noqa: PLR2004 - the class of redirects
        return ApiRefused(f"HTTP {http_status}, a redirect, is not followed: correct SMS_API_BASE_URL", http_status)
    return ApiRefused(f"HTTP {http_status}, and {what}{_excerpt(body)}: correct SMS_API_BASE_URL", http_status)


def _excerpt(body: bytes) -> str:
    start = body[: _EXCERPT_LENGTH * 4].decode("utf-8", "replace")
    words = _one_line(start)
    return f" (it begins: {words[:_EXCERPT_LENGTH]})" if words else ""


def _one_line(text: str) -> str:
    shown = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(mask_digits(shown).split())


def _envelope_error(envelope: Envelope, response: Response, body: bytes, hint: float | None) -> CallError:
    code = envelope_code(envelope.status)
    remedy = code.remedy if code else Remedy.GIVE_UP
    reason = _one_line(envelope.reason)[:_REASON_LENGTH]
    facts = (response.status_code, _one_line(envelope.status)[:32], reason)
    said = f"the platform answers {facts[1]} ({code.meaning if code else 'an undocumented code'})"
    said += f": {reason}" if reason else ""
    if remedy is Remedy.SLOW_DOWN:
        return Throttled(said, *facts, wait_seconds=hint)
    if remedy is Remedy.GIVE_UP:
        said += _excerpt(body)
    if code and remedy in {Remedy.STOP_APP, Remedy.STOP_API}:
        said += f"; correct {code.setting}"
    return _ERRORS[remedy](said, *facts)


_ERRORS: Final[Mapping[Remedy, type[CallError]]] = {
    Remedy.STOP_APP: AppRefused,
    Remedy.STOP_API: ApiRefused,
    Remedy.SPLIT: BatchRefused,
    Remedy.GIVE_UP: BatchFailed,
    Remedy.LEARN_CLOCK: ClockSkewed,
    Remedy.RETRY: TransientError,
    Remedy.NONE: TransientError,  # success, but not with HTTP 200: never got here
}
