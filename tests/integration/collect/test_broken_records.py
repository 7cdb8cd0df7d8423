"""A broken record changes nothing for the others, wherever it stands, in every format."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.sent_logs import SENT, Row, read, writer

Build = Callable[[Sequence[str]], bytes]
TEXTS: Final = ("hi", 'a "b", c', "two\nlines", "", '5" pipe', "{x}", "é")


def record(index: int) -> Row:
    return SENT | {"msg_id": str(10**18 + index), "content": TEXTS[index % len(TEXTS)]}


def as_row(index: int, quoting: int) -> str:
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n", quoting=quoting).writerow(record(index).values())  # type: ignore[arg-type]  # one of csv's
    return sink.getvalue()


def indented(index: int) -> str:
    return "\n".join("  " + line for line in json.dumps(record(index), indent=2).split("\n"))


def as_csv(parts: Sequence[str]) -> bytes:
    return (",".join(record(0)) + "\n" + "".join(parts)).encode()


FORMATS: Final[dict[str, tuple[str, Callable[[int], str], Build]]] = {
    "lines": ("a.jsonl", lambda index: json.dumps(record(index)) + "\n", lambda parts: "".join(parts).encode()),
    "array of lines": (
        "a.json",
        lambda index: json.dumps(record(index)),
        lambda parts: ("[\n" + ",\n".join(parts) + "\n]\n").encode(),
    ),
    "pretty array": ("a.json", indented, lambda parts: ("[\n" + ",\n".join(parts) + "\n]\n").encode()),
    "pretty objects": (
        "a.ndjson",
        lambda index: json.dumps(record(index), indent=4) + "\n",
        lambda parts: "".join(parts).encode(),
    ),
    "one line array": (
        "a.json",
        lambda index: json.dumps(record(index)),
        lambda parts: f"[{', '.join(parts)}]".encode(),
    ),
    "docker": (
        "a.jsonl",
        lambda index: json.dumps({"log": json.dumps(record(index)) + "\n", "stream": "stdout"}) + "\n",
        lambda parts: "".join(parts).encode(),
    ),
    "compressed": (
        "a.jsonl.gz",
        lambda index: json.dumps(record(index)) + "\n",
        lambda parts: b"".join(gzip.compress(part.encode()) for part in parts),
    ),
    "csv": ("a.csv", lambda index: as_row(index, csv.QUOTE_MINIMAL), as_csv),
    "csv in quotes": ("a.csv", lambda index: as_row(index, csv.QUOTE_ALL), as_csv),
}
CUT: Final = {"lines", "docker", "compressed"}
"""Formats in which a record may end anywhere and the next one begins in its own line."""


@st.composite
def broken_csv(draw: st.DrawFn, part: str) -> str:
    return draw(
        st.sampled_from(
            [
                part.replace("app", '"app'), part[:-1] + ',"5 days left\n', part[:-1] + ",more\n", '"\n', '"""\n',
                'x"y",z\n', '7,"a\n', part.replace("4915112345678", '4915112345678"'), '"' + part,
            ]
        )
    )  # fmt: skip


@st.composite
def broken_json(draw: st.DrawFn, name: str, part: str) -> str:
    whole = part.rstrip("\n")
    end = part[len(whole) :]
    if name in CUT and draw(st.booleans()):
        return whole[: draw(st.integers(2, len(whole) - 1))] + end
    old, new = draw(
        st.sampled_from(
            [('"app"', "app"), ('"app"', '"app'), ('": "', '" "'), ("15112", "\\x"), ('"app"', "]"), ('"', "")]
        )
    )  # fmt: skip
    at = whole.replace('\\"', '"').find(old)
    return (whole[:at] + new + whole[at + len(old) :] if at >= 0 and old in whole else whole[:-1] + "?}") + end


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_broken_record_anywhere_changes_nothing_for_the_others(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    file_name, part_of, build = FORMATS[name]
    parts = [part_of(index) for index in range(8)]
    place = data.draw(st.integers(0, 8))
    broken = data.draw(broken_csv(part_of(9)) if "csv" in name else broken_json(name, part_of(9)))
    messages, rejects = read(writer(tmp_path)(file_name, build([*parts[:place], broken, *parts[place:]])), chunk_rows=3)
    others = [message["msg_id"] for message in messages if message["msg_id"] != str(10**18 + 9)]
    assert others == [str(10**18 + index) for index in range(8)]
    places = [(row["line"], row["item"]) for row in [*messages, *rejects]]
    assert len(places) == len(set(places))
    assert len(messages) + len(rejects) > 8
