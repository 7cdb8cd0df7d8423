"""Logs as people have them: each file of `shapes` comes to what stands beside it.

A line of `NAME.expected` is `line[.item] id` of a message, or `line[.item] code` of a reject; `name = value` is a
setting that the file is read with. Of the message `261127000000N` app, number and time follow from N.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.sent_logs import RESTED, Row, listed, read, rules

SHAPES = Path(__file__).parent / "shapes"
NAMES = sorted(path.name.removesuffix(".expected") for path in SHAPES.glob("*.expected"))
NOW = rules().now.replace(year=2026, month=11, day=28)


def settings_of(lines: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = dict(line.split(" = ", 1) for line in lines if " = " in line)
    if "fields" in given:
        given["fields"] = dict(pair.split("=") for pair in given["fields"].split(","))
    if "log_zone" in given:
        given["log_zone"] = ZoneInfo(given["log_zone"])
    return given


def line_of(row: Row) -> str:
    return f"{row['line']}.{row['item']}" if row["item"] else str(row["line"])


def outcome(message: Row) -> str:
    """Return how a message is written in an expected file: what differs from the rule is named."""
    last = message["msg_id"][-1]
    usual = {"app_id": "marketing1", "number": f"91985632141{last}"}
    assert f"{message['sent_at']:%Y-%m-%d %H:%M:%S%z}" == f"2026-11-27 10:00:0{last}+0000"
    odd = "".join(f" {name}={message[name]}" for name, value in usual.items() if message[name] != value)
    return f"{line_of(message)} {message['msg_id']}{odd}"


@pytest.mark.parametrize("name", NAMES)
def test_a_file_comes_to_what_stands_beside_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes((SHAPES / name).read_bytes())
    os.utime(path, (RESTED, RESTED))
    lines = (SHAPES / f"{name}.expected").read_text().splitlines()
    messages, rejects = read(listed(path, None), now=NOW, **settings_of(lines))
    found = [outcome(message) for message in messages]
    found += [f"{line_of(reject)} {re.split(':', reject['reason'])[0]}" for reject in rejects]
    wanted = [line for line in lines if " = " not in line]
    assert sorted(found) == sorted(line.removesuffix(" sender_id=None") for line in wanted)
    is_empty = [line.endswith("sender_id=None") for line in wanted]
    assert not any(is_empty) or {message["sender_id"] for message in messages} == {None}


def test_every_file_has_something_beside_it() -> None:
    assert {path.name for path in SHAPES.iterdir()} == {*NAMES, *(f"{name}.expected" for name in NAMES)}
    assert len(NAMES) > 50
