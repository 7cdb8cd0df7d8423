"""Which files a pattern means, and on which date."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from pipeline.collect.files import LogFile, find_log_files

DAY = date(2025, 6, 1)
MONTH_END = date(2025, 5, 31)


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def found(folder: Path, pattern: str, *days: date) -> list[tuple[str, date | None]]:
    files = find_log_files([f"{folder}/{pattern}"], days or None)
    return [(str(file.path.relative_to(folder)), file.file_date) for file in files]


def names(folder: Path, pattern: str, *days: date) -> list[str]:
    return [name for name, _ in found(folder, pattern, *days)]


def test_a_file_is_listed_with_its_state(tmp_path: Path) -> None:
    path = tmp_path / "sms-2025-06-01.jsonl"
    path.write_bytes(b"12345")
    os.utime(path, ns=(1, 1_748_764_800_123_456_789))
    assert find_log_files([str(tmp_path / "sms-{date}.jsonl")], [DAY]) == [
        LogFile(path, DAY, 5, 1_748_764_800_123_456_789)
    ]


def test_the_day_and_one_either_side_are_meant(tmp_path: Path) -> None:
    make(
        tmp_path,
        *(f"sms-2025-{month_day}.csv" for month_day in ("05-30", "05-31", "06-01", "06-02", "06-03")),
    )
    assert found(tmp_path, "sms-{date}.csv", DAY) == [
        ("sms-2025-05-31.csv", MONTH_END),
        ("sms-2025-06-01.csv", DAY),
        ("sms-2025-06-02.csv", date(2025, 6, 2)),
    ]


def test_days_far_apart_each_have_their_window(tmp_path: Path) -> None:
    make(tmp_path, "2025-01-01.csv", "2025-01-05.csv", "2025-01-09.csv")
    assert names(tmp_path, "{date}.csv", date(2025, 1, 1), date(2025, 1, 10)) == [
        "2025-01-01.csv",
        "2025-01-09.csv",
    ]


def test_without_days_every_date_that_exists_is_meant(tmp_path: Path) -> None:
    make(tmp_path, "a-2024-02-29.csv", "a-2025-02-29.csv", "a-2025-13-01.csv", "a-1999-01-01.csv", "a-b.csv")
    assert found(tmp_path, "a-{date}.csv") == [
        ("a-1999-01-01.csv", date(1999, 1, 1)),
        ("a-2024-02-29.csv", date(2024, 2, 29)),
    ]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*{date}*.csv*", "host-2025-06-01-07.csv.gz"),
        ("{date}/sms-{date}.csv", "2025-06-01/sms-2025-06-01.csv"),
        ("{date}/**/*.csv", "2025-06-01/a/b/c.csv"),
        ("**/{date}.csv", "a/b/2025-06-01.csv"),
        ("**/{date}.csv", "2025-06-01.csv"),
        ("host-?/{date}.csv", "host-7/2025-06-01.csv"),
        ("host-[0-9]/{date}.csv", "host-7/2025-06-01.csv"),
        ("host-[!a-z]/{date}.csv", "host-7/2025-06-01.csv"),
        ("host-[^]/{date}.csv", "host-^/2025-06-01.csv"),
        ("[[]x]/{date}.csv", "[x]/2025-06-01.csv"),
        ("[x]/{date}.csv", "[x]/2025-06-01.csv"),
        ("[{date}].csv", "[2025-06-01].csv"),
        ("a+b (c)/{date}.csv", "a+b (c)/2025-06-01.csv"),
    ],
)
@pytest.mark.parametrize("days", [(DAY,), ()])
def test_a_date_is_found_wherever_it_stands(tmp_path: Path, pattern: str, name: str, days: tuple[date, ...]) -> None:
    make(tmp_path, name)
    assert found(tmp_path, pattern, *days) == [(name, DAY)]


def test_two_dates_in_a_name_must_be_the_same_where_the_pattern_has_two(tmp_path: Path) -> None:
    make(tmp_path, "2025-06-01/2025-06-02.csv")
    assert found(tmp_path, "{date}/{date}.csv") == []


def test_of_several_dates_in_a_name_the_first_counts_with_and_without_days(tmp_path: Path) -> None:
    make(tmp_path, "2025-06-01-to-2025-06-09.csv")
    assert found(tmp_path, "*{date}*.csv") == found(tmp_path, "*{date}*.csv", DAY)
    assert found(tmp_path, "*{date}*.csv", date(2025, 6, 9)) == []


def test_without_a_date_every_match_counts_and_has_none(tmp_path: Path) -> None:
    make(tmp_path, "b.csv", "a-2025-06-01.csv")
    assert found(tmp_path, "*.csv", date(2020, 1, 1)) == [("a-2025-06-01.csv", None), ("b.csv", None)]


@pytest.mark.parametrize(
    "name", ["it's.csv", 'a "b".csv', "100%25.csv", "[a].csv", "a b\tc.csv", "#é?*.csv", "{x}.csv"]
)
def test_a_plain_path_of_odd_characters_is_found(tmp_path: Path, name: str) -> None:
    make(tmp_path, name, "other.csv")
    assert names(tmp_path, name) == [name]


def test_a_file_matched_twice_is_listed_once_and_keeps_its_date(tmp_path: Path) -> None:
    make(tmp_path, "2025-06-01.csv")
    patterns = [f"{tmp_path}/*.csv", f"{tmp_path}/{{date}}.csv", f"{tmp_path}/./*.csv"]
    assert [file.file_date for file in find_log_files(patterns, [DAY])] == [DAY]


def test_files_are_sorted_by_date_and_path(tmp_path: Path) -> None:
    make(tmp_path, "b/2025-06-01.csv", "a/2025-06-02.csv", "a/2025-06-01.csv", "z.csv")
    files = find_log_files([f"{tmp_path}/z.csv", f"{tmp_path}/*/{{date}}.csv"], None)
    assert [str(file.path.relative_to(tmp_path)) for file in files] == [
        "z.csv",
        "a/2025-06-01.csv",
        "b/2025-06-01.csv",
        "a/2025-06-02.csv",
    ]


def test_folders_broken_links_and_pipes_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a.csv", "folder.csv/inside.txt")
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere")
    (tmp_path / "good.csv").symlink_to(tmp_path / "a.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    assert names(tmp_path, "*.csv") == ["a.csv", "good.csv"]


def test_relative_patterns_count_from_the_working_directory(tmp_path: Path) -> None:
    relative = os.path.relpath(tmp_path, Path.cwd())
    make(tmp_path, "a.csv")
    (file,) = find_log_files([f"{relative}/*.csv"], None)
    assert file.path.is_absolute()
    assert file.path.samefile(tmp_path / "a.csv")


def test_no_match_and_no_pattern_are_no_files(tmp_path: Path) -> None:
    assert find_log_files([f"{tmp_path}/none-{{date}}.csv", f"{tmp_path}/none.csv"], [DAY]) == []
    assert find_log_files([], [DAY]) == []
    make(tmp_path, "2025-06-01.csv")
    assert find_log_files([f"{tmp_path}/{{date}}.csv"], []) == []


def test_the_first_and_last_days_of_the_calendar_have_a_window_too(tmp_path: Path) -> None:
    make(tmp_path, "0001-01-01.csv")
    assert names(tmp_path, "{date}.csv", date.min, date.max) == ["0001-01-01.csv"]
