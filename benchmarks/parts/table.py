"""From measured parts to the table of README.md."""

from __future__ import annotations

from typing import Any

from benchmarks.report import table_of


def parts_table(benchmarks: list[dict[str, Any]]) -> list[str]:
    """Return a table: a row a part and amount, its median beside that of its group's floor."""
    floors = {one["group"]: one for one in benchmarks if one["extra_info"]["is_floor"]}
    parts = [one for one in benchmarks if one["group"] in floors and not one["extra_info"]["is_floor"]]
    return table_of(
        ("part", "amount", "time", "floor", "times floor", "floor is"),
        [_row(part, floors[part["group"]]) for part in sorted(parts, key=lambda one: (one["group"], one["name"]))],
    )


def _row(part: dict[str, Any], floor: dict[str, Any]) -> list[str]:
    taken, least = (one["stats"]["median"] for one in (part, floor))
    return [
        part["group"],
        part["extra_info"]["amount"],
        f"{taken * 1000:.0f} ms",
        f"{least * 1000:.0f} ms",
        f"{taken / least:.1f}",
        floor["extra_info"]["amount"],
    ]
