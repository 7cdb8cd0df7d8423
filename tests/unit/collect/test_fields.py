"""The fields that names in logs stand for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.collect.fields import ABSENT, FieldNames, Picker

LABELS = ("campaign", "to", "nowhere")
NAMES = ("msgId", "msg_id", "id", "to", "number", "app_id", "response", "campaign", "campaign", "Sent At", "ts", "text")
VALUES: st.SearchStrategy[object] = st.sampled_from([None, "", "NULL", "1", 2, ["x"]])


@given(st.lists(st.sampled_from(NAMES), max_size=8), st.booleans(), st.integers(0, 4), st.data())
def test_columns_are_picked_like_the_values_of_each_record(
    names: list[str], has_labels: bool, rows: int, chance: st.DataObject
) -> None:
    picker = FieldNames(LABELS if has_labels else (), {"number": "to"}).picker(tuple(names))
    columns = [chance.draw(st.lists(VALUES, min_size=rows, max_size=rows)) for _ in names]
    by_column = [list(column) for column in picker.pick_columns(columns, rows)]
    assert by_column == [list(each) for each in zip(*by_row(picker, columns, rows), strict=True)] or not rows


def by_row(picker: Picker, columns: list[list[object]], rows: int) -> list[list[object]]:
    return [list(picker.pick([*(column[row] for column in columns), ABSENT, None])) for row in range(rows)]
