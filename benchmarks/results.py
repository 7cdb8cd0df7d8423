"""From runs to tables: medians of the runs that were right, ratios to the floor, and the goals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from statistics import median

from benchmarks.measuring import Cost
from benchmarks.report import table_of
from benchmarks.rule import MOST_IDS

HEADER = (
    "messages",
    "latency",
    "contender",
    "runs",
    "wall",
    "lowest to highest",
    "times floor",
    "CPU",
    "times floor",
    "peak memory",
    "calls",
)
NONE = "-"
GOALS_HEADER = ("goal", "asked for", "measured", "")


@dataclass(frozen=True, order=True)
class Load:
    """So many messages of one day, and by how much each answer is delayed."""

    messages: int
    latency_ms: int


@dataclass(frozen=True)
class Run:
    """What one run of a contender cost, and what was wrong with its result."""

    load: Load
    contender: str
    cost: Cost
    calls: int
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Standing:
    """A contender at one load, by the runs that were right: medians of the times, the most of memory and calls."""

    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float
    calls: int
    walls: tuple[float, ...]


Standings = Mapping[tuple[Load, str], Standing]


@dataclass(frozen=True)
class Goal:
    """A bound on a figure of the pipeline, as such or in relation to another contender's."""

    what: str
    load: Load
    figure: str
    bound: float
    beside: str | None = None
    unit: str = ""
    is_least: bool = False

    def measured(self, standings: Standings) -> float | None:
        """Return the figure, none if it was not measured."""
        mine = standings.get((self.load, "pipeline"))
        other = standings.get((self.load, self.beside)) if self.beside else None
        if mine is None or (self.beside and other is None):
            return None
        value = float(getattr(mine, self.figure))
        beside = float(getattr(other, self.figure)) if other else 1.0
        return beside / value if self.is_least else value / beside


MILLION, HUGE = Load(1_000_000, 0), Load(10_000_000, 0)
ON_THE_WIRE, MILLION_ON_THE_WIRE = Load(200_000, 50), Load(1_000_000, 50)
GOALS = (
    Goal("wall beside the floor", ON_THE_WIRE, "wall_seconds", 1.6, "floor", " times"),
    Goal("wall beside the floor", MILLION_ON_THE_WIRE, "wall_seconds", 1.2, "floor", " times"),
    Goal("wall beside the floor", MILLION, "wall_seconds", 6, "floor", " times"),
    Goal("faster than the vendor's loop", MILLION, "wall_seconds", 2, "vendor", " times", is_least=True),
    Goal("faster than dlt", MILLION, "wall_seconds", 3.5, "dlt", " times", is_least=True),
    Goal("peak memory", MILLION, "peak_megabytes", 650, unit=" MB"),
    Goal("peak memory", HUGE, "peak_megabytes", 800, unit=" MB"),
    *(Goal("calls", Load(n, 0), "calls", ceil(n / MOST_IDS)) for n in (20_000, 200_000, 1_000_000)),
)


def lines_of(runs: Sequence[Run]) -> list[str]:
    """Return the tables, and what was wrong, as Markdown."""
    standings = standings_of(runs)
    tried = {key: len(list(group)) for key, group in groupby(sorted(runs, key=_key), key=_key)}
    rows = [_row(load, name, standings, tried[load, name]) for load, name in dict.fromkeys(map(_key, runs))]
    wrong = [
        f"- Not counted: {run.contender}, {run.load.messages:,} messages, {run.load.latency_ms} ms: "
        f"{'; '.join(run.faults)}"
        for run in runs
        if run.faults
    ]
    goals = [row for goal in GOALS if (row := _goal_row(goal, standings))]
    return [
        *table_of(HEADER, rows),
        *(["", *wrong] if wrong else []),
        *(["", *table_of(GOALS_HEADER, goals)] if goals else []),
    ]


def standings_of(runs: Sequence[Run]) -> Standings:
    """Return the standing of each contender at each load where it was right at least once."""
    right = sorted((run for run in runs if not run.faults), key=_key)
    return {key: _standing(list(group)) for key, group in groupby(right, key=_key)}


def _standing(runs: Sequence[Run]) -> Standing:
    costs = [run.cost for run in runs]
    return Standing(
        wall_seconds=median(cost.wall_seconds for cost in costs),
        cpu_seconds=median(cost.cpu_seconds for cost in costs),
        peak_megabytes=max(cost.peak_bytes for cost in costs) / 1e6,
        calls=max(run.calls for run in runs),
        walls=tuple(sorted(cost.wall_seconds for cost in costs)),
    )


def _key(run: Run) -> tuple[Load, str]:
    return run.load, run.contender


def _row(load: Load, name: str, standings: Standings, tried: int) -> list[str]:
    head = [f"{load.messages:,}", f"{load.latency_ms} ms", name]
    own, floor = standings.get((load, name)), standings.get((load, "floor"))
    if own is None:
        return [*head, f"0 of {tried}", *[NONE] * 7]
    return [
        *head,
        f"{len(own.walls)}" if len(own.walls) == tried else f"{len(own.walls)} of {tried}",
        f"{own.wall_seconds:.2f} s",
        f"{own.walls[0]:.2f} to {own.walls[-1]:.2f} s",
        f"{own.wall_seconds / floor.wall_seconds:.1f}" if floor else NONE,
        f"{own.cpu_seconds:.2f} s",
        f"{own.cpu_seconds / floor.cpu_seconds:.1f}" if floor else NONE,
        f"{own.peak_megabytes:,.0f} MB",
        f"{own.calls:,}",
    ]


def _goal_row(goal: Goal, standings: Standings) -> list[str] | None:
    measured = goal.measured(standings)
    if measured is None:
        return None
    is_met = measured >= goal.bound if goal.is_least else measured <= goal.bound
    return [
        f"{goal.what}, {goal.load.messages:,} messages, {goal.load.latency_ms} ms",
        f"{'≥' if goal.is_least else '≤'} {goal.bound:,g}{goal.unit}",
        f"{measured:,.2f}{goal.unit}" if goal.beside else f"{measured:,.0f}{goal.unit}",
        "met" if is_met else "**missed**",
    ]
