"""Spellings of a phone number, and looking for it whatever its spelling."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

NUMBER: Final = "491701112222"
_FULLWIDTH = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}
_ARABIC = {ord("0") + digit: 0x0660 + digit for digit in range(10)}
_MATHEMATICAL = {ord("0") + digit: 0x1D7D8 + digit for digit in range(10)}
SPELLINGS: Final = (
    NUMBER,
    "+49 170 111 22 22",
    "00491701112222",
    "0049 170 1112222",
    "49/170/111.22.22",
    "+49 (0) 170 - 111 22 22",
    "+49[170]1112222",
    "49\u00a0170\u2009111\u202f22\u200b22",
    "49\u2011170\u2013111\u2212222\u20102",
    "+49-170-111_22_22",
    "49 , 170 : 111 * 22 ~ 22",
    NUMBER.translate(_FULLWIDTH),
    NUMBER.translate(_ARABIC),
    NUMBER.translate(_MATHEMATICAL),
)
"""One number as people, forms and programs write it."""


def digits_in(text: str) -> str:
    """Return all digits of a text in their order, as ASCII."""
    return "".join(str(unicodedata.digit(sign)) for sign in text if unicodedata.digit(sign, None) is not None)


def holds(text: str, number: str = NUMBER) -> bool:
    """Say whether a text holds the number whatever stands between its digits; a `(0)` is taken out first."""
    return any(number in digits_in(each) for each in (text, text.replace("(0)", "")))


def texts_below(folder: Path) -> list[tuple[Path, str]]:
    """Return each text that can be read below a folder: names, files as text, and each value of Parquet files."""
    found: list[tuple[Path, str]] = []
    for path in sorted(folder.rglob("*")):
        found.append((path, str(path.relative_to(folder))))
        if path.suffix == ".parquet":
            rows = pq.ParquetFile(path).read().to_pylist()
            found += [(path, text) for row in rows for value in row.values() for text in _texts(value)]
        elif path.is_file():
            found += [(path, line) for line in path.read_bytes().decode("utf-8", "replace").splitlines()]
    return found


def places_of(folder: Path, number: str = NUMBER) -> list[str]:
    """Return where a folder's files hold the number, for a failing test's message."""
    return [f"{path.name}: {text[:200]}" for path, text in texts_below(folder) if holds(text, number)]


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        try:
            inner = json.loads(value)
        except ValueError:
            return [value]
        return _texts(inner) if isinstance(inner, dict | list) else [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for text in _texts(list(pair))]
    if isinstance(value, list | tuple):
        return [text for each in value for text in _texts(each)]
    return [str(value)] if isinstance(value, int | float) else []
