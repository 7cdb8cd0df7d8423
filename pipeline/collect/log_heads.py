"""Whether a log is still the one that had its name before: how it begins.

Belongs here: the first bytes of a log as a number that can be noted. Does not belong here: what is done about it
(`rejected_records`).
"""

from __future__ import annotations

import hashlib
import itertools
from typing import Final

from pipeline.collect.files import LogFile
from pipeline.collect.formats.compression import pieces_of

HEAD_BYTES: Final = 256
"""Bytes that hold an id or two: enough to tell logs apart, and a log whose later lines were fixed is the same."""
_LENGTH_BITS: Final = 8
_HASH_BITS: Final = 55


def head_of(file: LogFile) -> int | None:
    """Return 63 bits for the first bytes of a log's content and how many they are; None for an empty or unreadable one.

    Compression makes no difference.
    """
    content = _first_bytes(file)
    return _as_number(content) if content else None


def begins_like(file: LogFile, head: int) -> bool:
    """Tell whether a log begins like the one whose `head_of` is `head`; it may have grown since."""
    length = (head & ((1 << _LENGTH_BITS) - 1)) + 1
    content = _first_bytes(file)[:length]
    return len(content) == length and _as_number(content) == head


def _as_number(content: bytes) -> int:
    digest = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()) & ((1 << _HASH_BITS) - 1)
    return digest << _LENGTH_BITS | (len(content) - 1)


def _first_bytes(file: LogFile) -> bytes:
    content = b""
    try:
        with file.open() as stream:
            for piece in itertools.takewhile(len, pieces_of(stream)):
                content += piece[:HEAD_BYTES]
                if len(content) >= HEAD_BYTES:
                    break
    except OSError:
        return b""
    return content[:HEAD_BYTES]
