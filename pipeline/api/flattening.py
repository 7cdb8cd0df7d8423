"""From answers to frames: one row a message asked for, malformed rows set aside, tallies compared.

Pure: numbers are kept as the platform wrote them; what `SMS_NUMBERS` does to them comes before storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.api.odd_answers import Sheet, parse_receive_time
from pipeline.api.plain_answers import REPORTS_SCHEMA, flatten_plain
from pipeline.api.reports import REASONS, REJECT_DTYPES, REPORT_DTYPES, Answer

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "REASONS",
    "REJECT_DTYPES",
    "REPORT_DTYPES",
    "Answer",
    "Flattened",
    "flatten_reports",
    "parse_receive_time",
]


@dataclass(frozen=True)
class Flattened:
    """Answers as frames, and the calls whose counts or rows don't agree with what was asked or returned."""

    reports: pd.DataFrame
    rejects: pd.DataFrame
    mismatches: dict[str, str] = field(default_factory=dict)
    """call_id to what does not agree."""


def flatten_reports(answers: Iterable[Answer]) -> Flattened:
    """Make one row of each id asked for; set malformed rows aside; name calls that don't add up.

    An id absent from `array` becomes a `not_found` row. Of several rows for one id the first counts.
    Rows for ids that were not asked are left out.

    Shape:  n ids asked -> reports (n, 9) of REPORT_DTYPES; k odd rows -> rejects (k, 9) of REJECT_DTYPES.
    Units:  receive_time arrives as ISO 8601 with any offset, leaves as UTC, microseconds.
    Raises: nothing for bad data; it lands in rejects with a reason.
    Source: vendor page, "Parameters".
    """
    given = list(answers)
    plain, others = flatten_plain(given)
    sheets = {place: Sheet(given[place]) for place in others}
    for sheet in sheets.values():
        sheet.read()
    problems = {sheet.answer.call_id: sheet.disagreement() for sheet in sheets.values()}
    return Flattened(
        _reports_frame(plain, sheets),
        _rejects_frame([reject for sheet in sheets.values() for reject in sheet.rejects]),
        {call_id: problem for call_id, problem in problems.items() if problem},
    )


def _reports_frame(plain: pa.Table, sheets: Mapping[int, Sheet]) -> pd.DataFrame:
    """Put the reports of all answers in the order of the answers."""
    table = plain
    if sheets:
        rows = [(place, *report) for place, sheet in sheets.items() for report in sheet.reports]
        columns = list(zip(*rows, strict=True)) or [()] * len(REPORTS_SCHEMA)
        odd = [pa.array(column, kind.type) for column, kind in zip(columns, REPORTS_SCHEMA, strict=True)]
        both = pa.concat_tables([plain, pa.table(odd, schema=REPORTS_SCHEMA)])
        table = both.sort_by([("place", "ascending")]) if plain.num_rows else both
    frame = table.drop_columns("place").to_pandas()
    others = {name: dtype for name, dtype in REPORT_DTYPES.items() if str(frame.dtypes[name]) != dtype}
    return frame.astype(others) if others else frame  # a cast to what it is costs as much as reading the times


def _rejects_frame(rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - 0.3 s that a run with nothing to ask does without

    columns = list(zip(*rows, strict=True)) if rows else [()] * len(REJECT_DTYPES)
    return pd.DataFrame(
        {
            name: pd.Series(column, dtype=dtype)
            for (name, dtype), column in zip(REJECT_DTYPES.items(), columns, strict=True)
        }
    )
