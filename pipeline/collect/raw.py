"""What is shown of a rejected record: its recognised fields, phone numbers as `SMS_NUMBERS` wants.

Belongs here: the text of `raw`. Does not belong here: why the record was rejected.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from pipeline.collect.fields import text_of
from pipeline.collect.times import time_us
from pipeline.model.phone_numbers import NumberPolicy, mask_text, treat_number

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

LONGEST_ID = 32


class Values(NamedTuple):
    """The values of one message's fields as the log has them, None where it has none."""

    msg_id: object
    sent_at: object
    app_id: object
    number: object
    sender_id: object
    order_id: object


def is_id(text: str) -> bool:
    """Tell whether a text is an id: 1 to 32 ASCII digits."""
    return text.isdigit() and len(text) <= LONGEST_ID and text.isascii()


def raw_of(values: Values, policy: NumberPolicy, zone: ZoneInfo, **more: str | None) -> str:
    """Return the JSON text of what `values` and `more` hold, each value at most 200 characters.

    An id or a time that can't be read may be a phone number in the wrong place: its digits are
    masked like those of free text. Values that are neither text nor number are left out.
    """
    shown: Mapping[str, str | bool | None] = {
        "msg_id": _guarded(values.msg_id, policy, is_good=is_id(_shown(values.msg_id) or "")),
        "sent_at": _guarded(values.sent_at, policy, is_good=time_us(values.sent_at, zone) is not None),
        "app_id": _shown(values.app_id),
        "number": treat_number(_shown(values.number), policy),
        "sender_id": _shown(values.sender_id),
        "order_id": _shown(values.order_id),
        **{name: mask_text(value, policy) for name, value in more.items() if value is not None},
    }
    present = {name: value for name, value in shown.items() if value is not None}
    return json.dumps(present, ensure_ascii=False, separators=(",", ":"))


def _guarded(value: object, policy: NumberPolicy, *, is_good: bool) -> str | None:
    text = _shown(value)
    return text if text is None or is_good else mask_text(text, policy)


def _shown(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool | float | Decimal):
        return str(value)
    return text_of(value) if isinstance(value, str | int) else None
