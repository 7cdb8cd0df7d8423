"""Every error that the project raises on purpose, sorted by what the caller does next.

    SmsDeliveryError
    ├── SettingsError          fix the setting and start again (exit status 2)
    ├── RunFailed              the run failed after its answers were committed (exit status 1)
    │   └── Interrupted        a signal ended the run
    ├── AlertFailed            an alert was not posted; the run itself is not affected
    ├── LakeError              the lake can't be read or written; repair it (exit status 1)
    └── CallError              a request got no usable response
        ├── TransientError     repeat the request after a back-off
        │   └── Throttled      let every worker wait, then repeat
        ├── ClockSkewed        sign with the platform's time, then repeat
        ├── BatchRefused       split the batch in two (-14)
        ├── BatchFailed        give the batch up for this run
        ├── CapReached         stop asking; the next run continues
        ├── AppRefused         stop this app: its credentials or contract are refused
        └── ApiRefused         stop every app of this base URL: configuration or client is wrong

What belongs here: exceptions. What does not: bad records, which are rows of `rejected_records`.
A message is one line for a person, without secrets, phone numbers or message text. Attributes are for code.
"""

from __future__ import annotations

from dataclasses import dataclass, field


class SmsDeliveryError(Exception):
    """Base of the project's errors; the text is one line for a person."""


class SettingsError(SmsDeliveryError):
    """A setting is missing or wrong; the text begins with its name (`SMS_…`)."""


class RunFailed(SmsDeliveryError):
    """The run is incomplete; the answers that it got are committed."""


class Interrupted(RunFailed):
    """SIGINT or SIGTERM ended the run; the answers that had arrived are committed."""


class AlertFailed(SmsDeliveryError):
    """An alert could not be posted."""


class LakeError(SmsDeliveryError):
    """The lake can't be read or written."""


@dataclass(eq=False)
class CallError(SmsDeliveryError):
    """A request got no usable response.

    Attributes:
        message: what happened, for a person, without secrets or phone numbers.
        http_status: status of the HTTP response; None if there was no response.
        status: status code of the envelope, as text; None if there was no envelope.
        reason: reason of the envelope, masked and cut; None if there was none.
    """

    message: str
    http_status: int | None = None
    status: str | None = None
    reason: str | None = None

    def __str__(self) -> str:
        """Return the message."""
        return self.message


class TransientError(CallError):
    """The same request may succeed later."""


@dataclass(eq=False)
class Throttled(TransientError):
    """The platform limits the rate of requests; `wait_seconds` is the wait that it names, else None."""

    wait_seconds: float | None = field(default=None, kw_only=True)


@dataclass(eq=False)
class ClockSkewed(CallError):
    """The platform finds `Timestamp` expired; `offset_seconds` is its clock minus ours, None if not known."""

    offset_seconds: float | None = field(default=None, kw_only=True)


class BatchRefused(CallError):
    """The platform finds a field empty or an id invalid (-14)."""


class BatchFailed(CallError):
    """The batch can't be answered in this run."""


class CapReached(CallError):
    """The run has made the number of requests that `max_requests` allows."""


class AppRefused(CallError):
    """The platform refuses this app: its credentials, IP address or contract."""


class ApiRefused(CallError):
    """The platform refuses the request itself: base URL, parameter or clock."""
