"""Phone numbers that were erased and must not come back: recognised by an HMAC, without keeping them.

What belongs here: whether digits hold such a number. What does not: where they are kept (`lake/notes.py`), what is
stored in place of the number (`phone_numbers.py`).
"""

from __future__ import annotations

import hmac
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ForgottenNumbers:
    """Erased numbers.

    Attributes:
        key: key of the HMAC, of this lake alone, never shown.
        digests: `digest_of` each number.
        lengths: how many digits they have.
    """

    key: bytes = field(default=b"", repr=False)
    digests: AbstractSet[str] = frozenset()
    lengths: AbstractSet[int] = frozenset()

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return bool(self.digests)

    def digest_of(self, digits: str) -> str:
        """Return what is kept of a number's ASCII digits: 128 bits in hex."""
        return hmac.digest(self.key, digits.encode("ascii"), "sha256").hex()[:32]

    def is_one(self, digits: str) -> bool:
        """Say whether these ASCII digits are a number and nothing else."""
        return len(digits) in self.lengths and self.digest_of(digits) in self.digests

    def id_in_place_of(self, digits: str) -> str:
        """Return the message id that is stored in place of a number: 32 digits, the same each time."""
        return f"{int(self.digest_of(digits), 16) % 10**32:032}"

    def holds(self, digits: str) -> bool:
        """Say whether a number is among these ASCII digits, one behind the other."""
        return any(
            self.digest_of(digits[start : start + length]) in self.digests
            for length in self.lengths
            for start in range(len(digits) - length + 1)
        )
