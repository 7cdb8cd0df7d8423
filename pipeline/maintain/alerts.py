"""Alerts: when one is posted, and posting it to a webhook.

Belongs here: limits per subject, HTTP. Does not: what is bad, and the text (`assets/sensors.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Self

import httpx
from pydantic import SecretStr

from pipeline.api.connections import tls_context
from pipeline.model.errors import AlertFailed, SettingsError

GAP: Final = timedelta(hours=1)
"""Shortest time between two alerts about one subject."""
LASTING_GAP: Final = timedelta(days=1)
"""The same for a subject that has been bad since the last alert."""
TIMEOUT_SECONDS: Final = 10.0


@dataclass
class Memory:
    """What was posted, so that an outage brings one alert an hour, not one per run; stored as text between ticks.

    Attributes:
        since: Unix seconds up to which everything was looked at, for a history in which `seen` says nothing.
        said: when each subject was last posted, Unix seconds.
        lasting: subjects that have been bad since their last alert.
        held: alerts held back per subject since its last alert.
        seen: number of the last event that was looked at, by kind: in the order of the history, whatever clocks said.
        tries: ticks in which the alerts of a run could not be posted.
    """

    since: float
    said: dict[str, float] = field(default_factory=dict)
    lasting: list[str] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str | None, *, now: float) -> Self:
        """Return what was stored. If nothing was, history begins now: older runs raise no alert.

        What was last posted more than a day ago is forgotten: causes are without number. So is what lies ahead of now,
        since the clock went back: it would hold alerts back until then.
        """
        known = {name: value for name, value in json.loads(text or "{}").items() if name in cls.__dataclass_fields__}
        memory = cls(**{"since": now} | known)
        memory.since = min(memory.since, now)
        recent = {subject for subject, at in memory.said.items() if 0 <= now - at < LASTING_GAP.total_seconds()}
        memory.said = {subject: at for subject, at in memory.said.items() if subject in recent}
        memory.held = {subject: count for subject, count in memory.held.items() if subject in recent}
        memory.lasting = [subject for subject in memory.lasting if subject in recent]
        return memory

    def text(self) -> str:
        """Return everything as text to store."""
        return json.dumps(vars(self))

    def may_say(self, subject: str, *, now: float, lasts: bool) -> bool:
        """Say whether an alert about a bad subject may be posted now (Unix seconds); if not, count it as held back.

        A subject that `lasts` is a state, posted once a day while it is bad, not an event.
        """
        gap = LASTING_GAP if lasts and subject in self.lasting else GAP
        if now - self.said.get(subject, 0.0) >= gap.total_seconds():
            return True
        self.held[subject] = self.held.get(subject, 0) + 1
        return False

    def note_said(self, subject: str, *, now: float) -> int:
        """Note that an alert was posted; return how many were held back before it."""
        self.said[subject] = now
        self.lasting = sorted({*self.lasting, subject})
        return self.held.pop(subject, 0)

    def note_good(self, subject: str) -> None:
        """Note that a subject is good again, so that its next failure is posted at once."""
        self.lasting = [each for each in self.lasting if each != subject]


def post(webhook: SecretStr, message: Mapping[str, Any]) -> None:
    """Post an alert as JSON. Certificates are verified, redirects are not followed.

    Raises:
        AlertFailed: the webhook did not accept it. The text leaves out the URL, which is a secret.
    """
    try:
        transport = httpx.HTTPTransport(verify=tls_context(), retries=1)
        with httpx.Client(transport=transport, timeout=TIMEOUT_SECONDS, follow_redirects=False) as client:
            response = client.post(webhook.get_secret_value(), json=dict(message))
    except SettingsError as error:
        raise AlertFailed(str(error)) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise AlertFailed(f"SMS_ALERT_WEBHOOK: it can't be reached: {type(error).__name__}") from None
    if not response.is_success:
        raise AlertFailed(f"SMS_ALERT_WEBHOOK: it answers with HTTP status {response.status_code}")
