"""What an audit found: passed or not, severity, figures, examples without personal data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.model.phone_numbers import mask_digits

_EXAMPLES: Final = 5


@dataclass(frozen=True)
class Finding:
    """What an audit found.

    If it did not pass and `is_severe`, that is an error: figures are wrong or work stands still; else a warning.
    """

    passed: bool
    is_severe: bool
    figures: Mapping[str, int | float]
    examples: Sequence[Mapping[str, object]] = ()


def finding_of(bad: Sequence[Mapping[str, object]], figures: Mapping[str, int | float], *, is_severe: bool) -> Finding:
    """Return the finding for an audit's bad rows."""
    examples = [{name: _masked(name, value) for name, value in row.items()} for row in bad[:_EXAMPLES]]
    return Finding(passed=not bad, is_severe=is_severe, figures=figures, examples=examples)


def _masked(column: str, value: object) -> object:
    """Mask long numbers in `value`, the sender of a roll-up, which may be a phone number."""
    return mask_digits(value) if column == "value" and isinstance(value, str) else value
