"""`export` of one table or view: Parquet, CSV and Excel sheets, whatever the values are."""

from __future__ import annotations

import csv
import stat
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import duckdb
import openpyxl
import pytest
from openpyxl.utils.escape import unescape

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.model.errors import SettingsError
from pipeline.model.settings import Settings
from pipeline.model.views import VIEWS
from pipeline.publish import extract as extracts
from pipeline.publish.database import publish
from pipeline.publish.export import Days, export_extract
from pipeline.publish.extract import ENDINGS, Extract
from pipeline.publish.sheet import write_sheet
from tests.support.kept import Kept
from tests.support.lakes import Said, Sent, store_answers, store_sent

NOW = datetime(2026, 10, 25, 12, tzinfo=UTC)
ALL: Final = Days(None, None)
MESSAGES: Final = Extract("table", "messages")
HOSTILE: Final = (
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1+1",
    "\r=1+1",
    "\uff1d1+1",
    '";=1+1',
    'a,"b"\nc;d',
    "http://example.org",
    "{=1+1}",
    "00491",
    "1e5",
    "TRUE",
    "'quoted",
    "_x0041_",
    "\x01\x1b[2J",
    "\u202e",
    "' OR 1=1 --",
    "",
    "x" * 400,
)
PRICE: Final = '{"pricedetail":{"price":"-0.5","pay":"123456789012.000000000001","currency":"=USD","chargeCnt":2}}'


@pytest.fixture
def tmp_path(kept: Kept) -> Path:
    return kept.emptied()


@pytest.fixture
def chosen(settings: Callable[..., Settings], lake: Lake, kept: Kept) -> Settings:
    """Publish a message for each hostile sender, in a zone whose clocks go back on that day."""
    chosen = settings(lake=lake.folder, timezone="Europe/Berlin", sent_log_labels="campaign")
    sent = [
        Sent(f"26{n}", NOW - timedelta(hours=11, minutes=n), number=f"4915{n}", country="DE", sender_id=text)
        for n, text in enumerate(HOSTILE)
    ]
    sent[0] = Sent(
        "26100000000000000000", sent[0].sent_at, sender_id=HOSTILE[0], labels={"campaign": "=1"}, country="NG"
    )

    def make() -> None:
        store_sent(lake, sent, zone=chosen.timezone)
        store_answers(lake, [(Said(sent[0].msg_id, "failed", NOW, extra=PRICE), sent[0].sent_at.date())])
        derive_messages([], lake=lake, settings=chosen, now=NOW)
        derive_rates([], lake=lake, settings=chosen, now=NOW)
        publish(lake=lake, settings=chosen, now=NOW)

    kept.put(make)
    return chosen


def read(path: Path) -> list[dict[str, Any]]:
    """Read a file as a user would."""
    if path.suffix == ".parquet":
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            result = connection.execute(f"FROM '{path}'")
            heads = [column[0] for column in result.description or []]
            return [dict(zip(heads, row, strict=True)) for row in result.fetchall()]
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    heads, *rows = openpyxl.load_workbook(path).worksheets[0].iter_rows()
    assert all(cell.data_type != "f" and cell.hyperlink is None for row in rows for cell in row)
    return [{str(head.value): _shown(cell.value) for head, cell in zip(heads, row, strict=True)} for row in rows]


def _shown(value: object) -> object:
    """Return a cell as Excel shows it: openpyxl leaves escapes of control characters in text."""
    return unescape(value) if isinstance(value, str) else value


@pytest.mark.parametrize("ending", ENDINGS)
def test_hostile_text_comes_back_as_it_was_and_no_cell_is_a_formula(
    lake: Lake, chosen: Settings, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"taken{ending}"
    assert export_extract(path, MESSAGES, days=ALL, lake=lake, settings=chosen) == len(HOSTILE)
    assert stat.S_IMODE(path.stat().st_mode) == chosen.file_mode
    senders = {row["msg_id"]: row["sender_id"] for row in read(path)}
    assert len(senders) == len(HOSTILE)
    for n, text in enumerate(HOSTILE):
        found = senders[f"26{n}" if n else "26100000000000000000"]
        if ending == ".csv":
            assert not found.startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d")), text
            assert found in {text, f"'{text}"}
        else:
            assert (found or "") == text


def test_a_sheet_has_local_times_without_offset_ids_as_text_and_exact_money(
    lake: Lake, chosen: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "taken.xlsx"
    export_extract(path, MESSAGES, days=ALL, lake=lake, settings=chosen)
    (row,) = [row for row in read(path) if row["country"] == "NG"]
    assert row["msg_id"] == "26100000000000000000"
    assert row["sent_at"] == datetime(2026, 10, 25, 2)  # noqa: DTZ001 - a sheet has local times
    assert row["sent_date"] == datetime(2026, 10, 25)  # noqa: DTZ001 - as above
    assert row["price"] == -0.5
    assert row["pay"] == "123456789012.000000000001"
    assert row["is_final"] is True
    assert row["receive_time"] is None
    assert row["labels"] == '{"campaign":"=1"}'
    assert "Europe/Berlin" in openpyxl.load_workbook(path).properties.description


def test_csv_and_parquet_tell_times_each_in_its_way(lake: Lake, chosen: Settings, tmp_path: Path) -> None:
    found = {}
    for ending in (".csv", ".parquet"):
        path = tmp_path / f"taken{ending}"
        export_extract(path, Extract("table", "messages", "country = 'NG'"), days=ALL, lake=lake, settings=chosen)
        (found[ending],) = read(path)
    assert found[".csv"]["sent_at"] == "2026-10-25 02:00:00"
    assert found[".csv"]["currency"] == "'=USD"
    assert found[".csv"]["price"] == "-0.500000000000"
    assert found[".parquet"]["sent_at"] == datetime(2026, 10, 25, 1, tzinfo=UTC)
    assert found[".parquet"]["pay"] == Decimal("123456789012.000000000001")
    assert found[".parquet"]["labels"] == {"campaign": "=1"}


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_view_can_be_taken(lake: Lake, chosen: Settings, tmp_path: Path, ending: str) -> None:
    for view in VIEWS if ending == ".csv" else VIEWS[::5]:
        path = tmp_path / f"{view.name}{ending}"
        rows = export_extract(path, Extract("view", view.name), days=ALL, lake=lake, settings=chosen)
        assert len(read(path)) == rows, view.name


def test_days_and_a_condition_choose_rows(lake: Lake, chosen: Settings, tmp_path: Path) -> None:
    def taken(where: str | None, days: Days = ALL, number: int = iter(range(99)).__next__()) -> int:
        path = tmp_path / f"{number} {where and hash(where)} {days}.csv"
        return export_extract(path, Extract("table", "messages", where), days=days, lake=lake, settings=chosen)

    day = date(2026, 10, 25)
    assert taken(None, Days(day, day)) + taken(None, Days(None, day - timedelta(days=1))) == len(HOSTILE)
    assert taken("country = 'NG' -- the others are German") == 1
    assert taken("country = 'DE' OR country = 'NG'", Days(day, None)) == taken(None, Days(day, None))
    assert taken("sender_id IN ('+1+1', '''quoted')") == 2
    assert taken("len(list_filter([1], lambda x: x > 0)) = 2") == 0


@pytest.mark.parametrize(
    "where",
    [
        "",
        "country = 'NG",
        "country = 'NG') OR (true",
        "true; DROP TABLE messages",
        "true; SELECT 1",
        "true) UNION ALL SELECT * FROM (messages",
        "true LIMIT 1",
        "true ORDER BY 1",
        "true FROM messages",
        "country, number",
        "country AS land",
        "*",
        "COLUMNS(*) = 'NG'",
        "$1 = 2",
        "? = 2",
        "EXISTS (FROM read_text('/etc/passwd'))",
        "country = (SELECT content FROM read_text('/etc/passwd'))",
        "country IN (FROM '/etc/passwd')",
        "[1] = ARRAY(SELECT 1)",
        "no_such_column = 1",
        "sum(poll_count) > 1",
        "country = 'NG' /*",
        "msg_id::INTEGER = sender_id::INTEGER",
        "error(sender_id)",
        "write_log('x') IS NULL FROM messages",
    ],
)
def test_what_is_no_condition_is_one_line_that_names_the_option(
    lake: Lake, chosen: Settings, tmp_path: Path, where: str
) -> None:
    path = tmp_path / "taken.csv"
    with pytest.raises(SettingsError, match=r"^--where: ") as error:
        export_extract(path, Extract("table", "messages", where), days=ALL, lake=lake, settings=chosen)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("*taken*"))


def test_an_error_of_a_condition_shows_no_number(lake: Lake, chosen: Settings, tmp_path: Path) -> None:
    """Before, DuckDB's message quoted the value that it could not convert."""
    value = "'4917011' || number"
    for where in (f"({value})::DATE > DATE '2026-01-01'", f"error('it is ' || {value})"):
        extract = Extract("table", "messages", where)
        with pytest.raises(SettingsError, match=r"^--where: .*\*\*\*") as error:
            export_extract(tmp_path / "taken.csv", extract, days=ALL, lake=lake, settings=chosen)
        assert "4917011" not in str(error.value)


def test_what_is_not_there_is_named(lake: Lake, chosen: Settings, tmp_path: Path) -> None:
    path = tmp_path / "taken.csv"
    for extract, days, message in [
        (Extract("table", "mesages"), ALL, "--table: .* messages"),
        (Extract("view", "messages"), ALL, "--view: there is no view"),
        (Extract("table", "messages; --"), ALL, "--table: there is no"),
        (Extract("view", "delivery_by_country"), Days(NOW.date(), None), "--from, --to: .* sent_date"),
    ]:
        with pytest.raises(SettingsError, match=message):
            export_extract(path, extract, days=days, lake=lake, settings=chosen)
    path.write_text("mine")
    with pytest.raises(SettingsError, match="exists already"):
        export_extract(path, MESSAGES, days=ALL, lake=lake, settings=chosen)
    assert path.read_text() == "mine"


def test_more_rows_than_a_sheet_holds_are_an_error_and_no_cut() -> None:
    extracts._check_size(1_048_575)
    with pytest.raises(SettingsError, match=r"holds 1,048,575 rows, and these are 1,048,576; .*--where.*\.csv"):
        extracts._check_size(1_048_576)


def test_a_sheet_holds_values_that_excel_has_no_number_for_as_text(tmp_path: Path) -> None:
    path = tmp_path / "odd.xlsx"
    values = (
        float("nan"),
        float("inf"),
        10**17 + 1,
        Decimal("0.1234567890123456"),
        date(1899, 1, 1),
        "y" * 40_000,
        2**40,
    )
    write_sheet(path, name="x" * 40, heads=list("abcdefg"), rows=[values], scratch=tmp_path, comment="")
    (row,) = read(path)
    assert list(row.values()) == [
        "nan",
        "inf",
        str(10**17 + 1),
        "0.1234567890123456",
        "1899-01-01",
        "y" * 32_767,
        2**40,
    ]
