"""Mutations of bytes for fuzz tests, repeatable from a seed."""

from __future__ import annotations

from random import Random
from typing import Final

PIECES: Final = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\r", b"\t", b"[[[[", b"true", b"null", b"0.1", b"-0"),
    *(b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"1e999", b"9" * 40, b'"\\ud800"', b'"msgId":'),
)


def mutated(text: bytes, chance: Random) -> bytes:
    """Change, insert, cut or repeat a few bytes."""
    found = bytearray(text)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(found) + 1)
        match chance.randrange(5):
            case 0:
                found[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                found[at:at] = chance.choice(PIECES)
            case 2:
                del found[at : at + chance.randint(1, 30)]
            case 3:
                found[at : at + chance.randint(1, 12)] = chance.choice(PIECES)
            case _:
                found[at:at] = found[max(0, at - 40) : at]
    return bytes(found)
