r"""Credentials that a response echoes: hidden in its bytes, before anything is read, logged or stored.

Belongs here: which bytes are hidden. Does not belong here: phone numbers (`model/phone_numbers.py`).

A platform, or a proxy before it, may repeat what it was sent: in a page of an error, in `reason`, in fields that the
protocol does not name. One place hides it all: the body, as soon as it is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import quote

HIDDEN: Final = b"***"
_SHORTEST: Final = 6
"""Shorter texts are part of every other body; no key is that short."""
_ESCAPED: Final = re.compile(rb"\\(?:u00([2-7][0-9a-fA-F])|(.))", re.DOTALL)
_STAY_ESCAPED: Final = b'"\\'


def hide(body: bytes, credentials: Iterable[str]) -> bytes:
    r"""Return a body without these credentials, whatever their case, also percent-encoded or with JSON's escapes.

    A credential of digits alone is hidden only where no other digit stands beside it: it may be part of an id.
    Texts of fewer than 6 characters are not hidden.
    """
    plain = _ESCAPED.sub(_unescaped, body) if b"\\" in body else body
    lowered, found = plain.lower(), set[bytes]()
    for credential in credentials:
        found |= {form for form in _forms(credential) if form in lowered}
    if not found:
        return body
    for form in sorted(found, key=len, reverse=True):
        pattern = rb"(?<!\d)%b(?!\d)" if form.isdigit() else rb"%b"
        plain = re.sub(pattern % re.escape(form), HIDDEN, plain, flags=re.IGNORECASE)
    return plain


@lru_cache(maxsize=1024)
def _forms(credential: str) -> frozenset[bytes]:
    if len(credential) < _SHORTEST:
        return frozenset()
    return frozenset({credential.lower().encode(), quote(credential, safe="").lower().encode()})


def _unescaped(escape: re.Match[bytes]) -> bytes:
    r"""Return the character of an escape such as `A` or `\/`; those that JSON needs stay."""
    character = bytes([int(escape[1], 16)]) if escape[1] else b"/" if escape[2] == b"/" else b""
    return escape[0] if not character or character in _STAY_ESCAPED else character
