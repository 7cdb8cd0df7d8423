"""Rows as an Excel sheet: text stays text, whatever it begins with.

Belongs here: which cell a value becomes. Does not belong here: which rows there are (`extract.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

MOST_ROWS: Final = 1_048_575
"""Rows of a sheet, without its heads."""
FORMULA_STARTS: Final = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
"""Characters that make a formula of a cell that begins with one of them (OWASP, "CSV Injection")."""
_LONGEST_TEXT: Final = 32_767
_EXACT_DIGITS: Final = 15
"""Digits that Excel keeps of a number."""
_FIRST_YEAR: Final = 1900
_WIDTH: Final = 18
_FORMATS: Final = {
    "head": {"bold": True},
    "time": {"num_format": "yyyy-mm-dd hh:mm:ss.000"},
    "date": {"num_format": "yyyy-mm-dd"},
    "text": {"num_format": "@"},
    "guarded": {"num_format": "@", "quote_prefix": True},  # stays text when the cell is edited, too
}


def write_sheet(
    path: Path, *, name: str, heads: Sequence[str], rows: Iterable[Sequence[Any]], scratch: Path, comment: str
) -> None:
    """Write an Excel file with one sheet, a row at a time; temporary files are in `scratch`."""
    import xlsxwriter  # noqa: PLC0415 - only this needs it

    options = {
        "constant_memory": True,
        "tmpdir": str(scratch),
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(path, options) as book:
        book.set_properties({"comments": comment})
        formats = {kind: book.add_format(properties) for kind, properties in _FORMATS.items()}
        sheet = book.add_worksheet(name[:31])
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(heads) - 1, _WIDTH)
        for column, head in enumerate(heads):
            sheet.write_string(0, column, head, formats["head"])
        for line, row in enumerate(rows, 1):
            for column, value in enumerate(row):
                _write(sheet, (line, column), value, formats)


def _write(sheet: Any, cell: tuple[int, int], value: object, formats: dict[str, Any]) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(*cell, value)
    elif _is_exact(value):
        sheet.write_number(*cell, value)
    elif isinstance(value, date) and value.year >= _FIRST_YEAR:
        sheet.write_datetime(*cell, value, formats["time" if isinstance(value, datetime) else "date"])
    else:
        text = str(value)
        kind = "guarded" if text.startswith(tuple(FORMULA_STARTS)) else "text"
        sheet.write_string(*cell, text[:_LONGEST_TEXT], formats[kind])


def _is_exact(value: object) -> bool:
    """Say whether Excel holds a value as a number without a loss; floats have none to lose."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, (int, Decimal)):
        return len(Decimal(value).normalize().as_tuple().digits) <= _EXACT_DIGITS
    return False
