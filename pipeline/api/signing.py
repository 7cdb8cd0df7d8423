"""How a call is signed. No clock and no settings here: both arrive as arguments."""

from __future__ import annotations

import hashlib


def sign(api_key: str, api_secret: str, timestamp: str) -> str:
    """Return the value of the header `Sign`: lower-case hex MD5 of the three texts joined, as UTF-8.

    Units: timestamp is Unix seconds in decimal, the very text sent as `Timestamp`.
    """
    signed = f"{api_key}{api_secret}{timestamp}".encode()
    return hashlib.md5(signed, usedforsecurity=False).hexdigest()
