"""Every code of the protocol and what it means for the caller: of envelopes, of rows, of rejected rows.

Source: the vendor page, "Status Code description", and the vendor's list of global codes as
recorded with the project's protocol facts.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final


class Remedy(Enum):
    """What a client does about an envelope code."""

    NONE = "the response is good"
    STOP_APP = "stop this app, say which setting to correct; no retry"
    STOP_API = "stop the run: the configuration or this client is wrong; no retry"
    RETRY = "retry with back-off, then give the batch up for this run"
    SPLIT = "split the batch in two until the bad ids stand alone"
    SLOW_DOWN = "slow every worker down, then retry"
    LEARN_CLOCK = "learn the clock offset, sign anew, retry once"
    GIVE_UP = "give the batch up for this run, keep the start of the response for a person"


class EnvelopeCode(Enum):
    """Envelope `status`: code, meaning, remedy, and what to correct where that is known."""

    SUCCESS = ("0", "success", Remedy.NONE, "")
    AUTHENTICATION = ("-1", "authentication error", Remedy.STOP_APP, "SMS_API_KEY and SMS_API_SECRET")
    RESTRICTED_IP = ("-2", "restricted IP access", Remedy.STOP_APP, "the platform's list of allowed addresses")
    TIME_FORMAT = ("-11", "incorrect time format", Remedy.STOP_API, "SMS_API_BASE_URL")
    PLATFORM_ERROR = ("-12", "platform error", Remedy.RETRY, "")
    LOCKED_USER = ("-13", "user is locked", Remedy.STOP_APP, "the account with the platform")
    ABNORMAL_ID = ("-14", "field is empty or query id is abnormal", Remedy.SPLIT, "SMS_APP_ID")
    TOO_FREQUENT = ("-15", "queries too frequent", Remedy.SLOW_DOWN, "SMS_MAX_REQUESTS_PER_SECOND")
    TIMESTAMP_EXPIRED = ("-16", "timestamp expired", Remedy.LEARN_CLOCK, "the clock of this machine")
    PROGRAM_ERROR = ("-18", "port program unusual", Remedy.RETRY, "")
    NO_PRICE = ("-19", "pricing not confirmed with the business team", Remedy.STOP_APP, "pricing with the platform")
    PARAMETER = ("-22", "parameter error", Remedy.STOP_API, "SMS_API_BASE_URL")
    OUT_OF_RANGE = ("-25", "value out of range", Remedy.STOP_API, "SMS_BATCH_SIZE")
    WORKSPACE = ("-29", "workspace not available", Remedy.STOP_APP, "the workspace with the platform")
    KEY_UNKNOWN = ("-30", "key not known", Remedy.STOP_APP, "SMS_API_KEY")
    KEY_DISABLED = ("-31", "key not usable", Remedy.STOP_APP, "SMS_API_KEY")
    NO_PERMISSION = ("-32", "no permission", Remedy.STOP_APP, "the key's permissions with the platform")

    def __init__(self, code: str, meaning: str, remedy: Remedy, setting: str) -> None:
        self.code = code
        self.meaning = meaning
        self.remedy = remedy
        self.setting = setting


_BY_CODE: Final = {member.code: member for member in EnvelopeCode}


def envelope_code(status: str) -> EnvelopeCode | None:
    """Return the documented code, None for one that nobody documented (remedy: `GIVE_UP`)."""
    return _BY_CODE.get(status)


class ReportStatus(StrEnum):
    """What the lake says of one answer for one message."""

    DELIVERED = "delivered"
    FAILED = "failed"
    SENDING = "sending"
    NOT_FOUND = "not_found"
    INVALID_ID = "invalid_id"


ROW_STATUSES: Final = {
    "0": ReportStatus.DELIVERED,
    "1": ReportStatus.FAILED,
    "-1": ReportStatus.SENDING,
}
"""Row `status` of the vendor page: 0 sent successfully, -1 sending, 1 failed."""


class RecordStatus(StrEnum):
    """What the lake says of one row of the platform's record."""

    SUCCESS = "success"
    FAILED = "failed"
    UNDOCUMENTED = "undocumented"


RECORD_STATUSES: Final = {"0": RecordStatus.SUCCESS, "2": RecordStatus.FAILED}
"""Row `status` of `getSentRcd`: 0 success, 2 failed; `1`, which `getReport` has for failed, is not one of them."""

ROW_REASONS: Final = {
    "bad_row": "a row of array is not an object",
    "bad_row_id": "a row of array has no msgId that is text of digits",
    "undocumented_status": "a row status that nobody documented; a report counts as sending",
    "bad_receive_time": "receiveTime can't be read or has no offset; the report is kept without it",
}
"""Codes with which the `reason` of a rejected row of the API begins, in the order of the rules."""
