r"""Credentials that a response echoes: hidden in its bytes, before anything is read, logged or stored.

Belongs here: which bytes are hidden. Does not belong here: phone numbers (`model/phone_numbers.py`).

A platform, or a proxy before it, may repeat what it was sent: in a page of an error, in `reason`, in fields that the
protocol does not name. One place hides it all: the body, as soon as it is there.
"""

from __future__ import annotations

import html
import html.entities
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

HIDDEN: Final = b"***"
_SHORTEST: Final = 6
"""Shorter texts are part of every other body; no key is that short."""
_ESCAPED: Final = re.compile(rb"\\+(?:u00([2-7][0-9a-fA-F])|(/))")
"""Escapes of JSON, also of JSON that stands as text in JSON: `A`, `\\u0041`, `\\/`."""


def hide(body: bytes, credentials: Iterable[str]) -> bytes:
    """Return a body without these credentials, whatever their case.

    They are found also where some or all characters are percent-encoded, or escaped as in JSON or HTML. One of digits
    alone is hidden only where no other digit stands beside it: it may be part of an id. Texts of fewer than 6
    characters are not hidden, nor are a part of a credential or its base64.
    """
    spellings = list(_spellings(body))
    for credential in credentials:
        text = credential.lower().encode()
        if len(text) >= _SHORTEST and any(text in spelling for spelling in spellings):
            body = _pattern(credential).sub(HIDDEN, body)
    return body


def _spellings(body: bytes) -> Iterator[bytes]:
    """Yield the body in lower case, as it is and without escapes of each kind that it has: quick to look through."""
    yield body.lower()
    if b"\\" in body:
        yield _ESCAPED.sub(lambda escape: bytes([int(escape[1] or b"2f", 16)]), body).lower()
    if b"%" in body:
        yield unquote_to_bytes(body).lower()
    if b"&" in body:
        yield html.unescape(body.decode("latin-1")).encode("utf-8").lower()


@lru_cache(maxsize=256)
def _pattern(credential: str) -> re.Pattern[bytes]:
    """Return what matches a credential, each character in any spelling."""
    pattern = b"".join(map(_any_spelling, credential.encode()))
    return re.compile(rb"(?<!\d)%b(?!\d)" % pattern if credential.isdigit() else pattern, re.IGNORECASE)


def _any_spelling(character: int) -> bytes:
    """Return a pattern for a byte: itself, `%41`, `A`, `&#65;`, `&#x41;`; a slash may have backslashes before it."""
    plain = re.escape(bytes([character]))
    plain = rb"\\*" + plain if character == ord("/") else plain
    named = rb"|".join(re.escape(f"&{name}".encode()) for name in _NAMES.get(character, ()))
    escapes = rb"%%%02x|\\+u00%02x|&#0*%d;|&#x0*%x;" % ((character,) * 4)
    return rb"(?:%b|%b%b)" % (plain, escapes, b"|" + named if named else b"")


_NAMES: Final = {
    ord(character): tuple(name for name, text in html.entities.html5.items() if text == character and name[-1] == ";")
    for character in "&<>\"'/+=.,:;_-()!?*@#$%"
}
"""Names that HTML has for characters of keys."""
