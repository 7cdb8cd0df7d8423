"""How figures are shown in Dagster's metadata: numbers that plot, a picture, a short table. No personal data."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import dagster as dg

from assets.rate_chart import DAYS, rate_chart
from pipeline.derive.days import DayFigures

DONE = "done"
"""Metadata entry in which a step says in one sentence what it did."""
FAILURES = "failures"
"""Metadata entry in which a step says what it did not get; the run's last check reads it."""


def counts(day: DayFigures) -> dict[str, int | float]:
    """Return a day's figures as numbers that Dagster plots; what is not known yet is left out."""
    figures: dict[str, int | float | None] = {
        "sent": day.sent,
        "delivered": day.delivered,
        "failed": day.failed,
        "outstanding": day.outstanding,
        "unknown": day.unknown,
        "invalid_id": day.invalid_id,
        "delivery_rate": day.delivery_rate,
        "latency_p95_seconds": day.latency_p95_seconds,
    }
    return {name: value for name, value in figures.items() if value is not None}


def rate_picture(figures: Sequence[DayFigures]) -> dg.MarkdownMetadataValue:
    """Return the delivery rate of the last days as a picture and a line that says how to read it.

    Dagster's panel shows pictures of data URLs, leaves inline SVG out, and hides text of 1,000 characters and more
    behind a link: hence the plain, not base64, form of the URL.
    """
    shown = figures[-DAYS:]
    if not shown:
        return dg.MetadataValue.md("no message yet")
    picture = quote(rate_chart([(day.delivery_rate, day.is_mature) for day in shown]), safe=" '/:=,;+-.!()")
    return dg.MetadataValue.md(
        f"![delivery rate by day](<data:image/svg+xml,{picture}>)\n\n"
        f"{shown[0].sent_date} to {shown[-1].sent_date}; pale: still under way"
    )


def run_summary(context: dg.AssetExecutionContext) -> dg.MarkdownMetadataValue:
    """Return a table of what the steps of this run did so far, a line each, and what they did not get."""
    steps = dict(materialized(context.instance, context.run.run_id))
    lines = ["| step | what it did |", "|---|---|"]
    for name, metadata in steps.items():
        lines.append(f"| `{name}` | {metadata.get(DONE, '')} |")
        failures = metadata.get(FAILURES)
        lines += [f"| | **not got:** {_cell(line)} |" for line in failures] if isinstance(failures, list) else []
    return dg.MetadataValue.md("\n".join(lines))


def materialized(instance: dg.DagsterInstance, run_id: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give each materialization of a run: the asset's name, and the values of its metadata."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        event = entry.asset_materialization
        if event is not None:
            yield event.asset_key.to_user_string(), {name: entry.value for name, entry in event.metadata.items()}


def reasons_of(events: Iterable[dg.DagsterEvent]) -> list[str]:
    """Return why the steps of a run failed: our own words where a step gave them, else the error's."""
    reasons = []
    for event in events:
        if event.is_step_failure:
            failure = event.step_failure_data
            own = failure.user_failure_data.description if failure.user_failure_data else None
            reasons.append(own or (failure.error.to_string() if failure.error else "a step failed"))
    return reasons


def listed(amounts: Mapping[str, int]) -> str:
    """Return amounts by name as one line, by name."""
    return ", ".join(f"{amount:,} {name}" for name, amount in sorted(amounts.items())) or "none"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
