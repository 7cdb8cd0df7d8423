"""Every error that the project raises on purpose, sorted by what the caller does next.

    SmsDeliveryError
    ├── SettingsError          mend a setting, then start again (exit status 2)
    ├── RunFailed              the run ended, what was got is committed (exit status 1)
    │   └── Interrupted        a signal asked for the end
    ├── AlertFailed            nobody was told: look at the webhook; nothing else is wrong
    ├── LakeError              the lake can't be read or written as it stands
    └── CallError              one request to the API did not give an answer
        ├── TransientError     the same call may work later: retried with back-off
        │   └── Throttled      every worker waits
        ├── ClockSkewed        sign with another clock, then repeat
        ├── BatchRefused       -14: split the batch
        ├── BatchFailed        give this batch up for this run
        ├── CapReached         ask no more in this run; the next one goes on
        ├── AppRefused         stop this app: its credentials or its contract
        └── ApiRefused         stop every app of this base: configuration or client is wrong

Messages are for people and carry no secret, no phone number and no message text;
facts for machines are attributes. Bad *records* are rows of `rejected_records`, not errors.
"""

from __future__ import annotations

from dataclasses import dataclass, field


class SmsDeliveryError(Exception):
    """Base of the project's errors; its text is one line for a person."""


class SettingsError(SmsDeliveryError):
    """A setting is missing or wrong; the text begins with its name (`SMS_…`)."""


class RunFailed(SmsDeliveryError):
    """The run did not do all it was asked for; what it got is committed."""


class Interrupted(RunFailed):
    """SIGINT or SIGTERM ended the run; what had arrived is committed."""


class AlertFailed(SmsDeliveryError):
    """An alert could not be posted."""


class LakeError(SmsDeliveryError):
    """The lake can't be read or written as it stands."""


@dataclass(eq=False)
class CallError(SmsDeliveryError):
    """One request brought no usable answer.

    Attributes:
        message: what happened, for a person, without secrets or numbers.
        http_status: status of the HTTP response, None where there was none.
        status: envelope status code as text, None where there was no envelope.
        reason: the envelope's own words, masked and cut, None where there are none.
    """

    message: str
    http_status: int | None = None
    status: str | None = None
    reason: str | None = None

    def __str__(self) -> str:
        """Return the text for a person."""
        return self.message


class TransientError(CallError):
    """The same call may work later."""


@dataclass(eq=False)
class Throttled(TransientError):
    """The platform asks everybody to slow down; `wait_seconds` is its hint, if it gave one."""

    wait_seconds: float | None = field(default=None, kw_only=True)


@dataclass(eq=False)
class ClockSkewed(CallError):
    """The platform says that `Timestamp` is expired; `offset_seconds` is what its clock shows beyond ours."""

    offset_seconds: float | None = field(default=None, kw_only=True)


class BatchRefused(CallError):
    """The platform finds a field empty or an id abnormal (-14)."""


class BatchFailed(CallError):
    """Nothing more can be had for this batch in this run."""


class CapReached(CallError):
    """The run has made as many requests as it may."""


class AppRefused(CallError):
    """The platform refuses this app: credentials, address or contract."""


class ApiRefused(CallError):
    """The platform refuses the way it is asked: base URL, parameter or clock."""
