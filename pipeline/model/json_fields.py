"""JSON objects of others that are stored: numbers masked, size bounded, and still JSON.

What belongs here: fields that no protocol names. What does not: which texts are numbers (`phone_numbers.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection

import msgspec

from pipeline.model.phone_numbers import MAX_TEXT, NumberPolicy, mask_text, may_hold_number


def fit_json(text: str, numbers: NumberPolicy, *, spared: Collection[str] = ()) -> str:
    """Return a JSON object masked and at most `MAX_TEXT` long, and still JSON: fields that don't fit are left out.

    Fields of the names `spared` are not masked.
    """
    if len(text) <= MAX_TEXT and ((numbers.mode == "keep" and not numbers.forgotten) or not may_hold_number(text)):
        return text
    kept: dict[str, object] = {}
    with contextlib.suppress(RecursionError):
        for name, value in msgspec.json.decode(text).items():
            masked = value if name in spared else _mask_json(value, numbers)
            longer = kept | {mask_text(name, numbers): masked}
            if len(msgspec.json.encode(longer).decode()) <= MAX_TEXT:
                kept = longer
    return msgspec.json.encode(kept).decode()


def _mask_json(value: object, numbers: NumberPolicy) -> object:
    match value:
        case dict():
            return {mask_text(name, numbers): _mask_json(inner, numbers) for name, inner in value.items()}
        case list():
            return [_mask_json(inner, numbers) for inner in value]
        case str():
            return mask_text(value, numbers)
        case None | bool():
            return value
        case _:
            written = msgspec.json.encode(value).decode()
            masked = mask_text(written, numbers)
            return value if masked == written else masked
