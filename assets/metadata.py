"""How figures show in Dagster: numbers that plot, a chart, a short table.

What belongs here: turning the library's tallies into metadata, which holds no personal data. What does not: counting
(`pipeline`), and what an asset says before any run (`specs.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any, Final
from urllib.parse import quote

import dagster as dg

from assets.events import materializations_of, one_line
from assets.partitions import days_of
from pipeline.collect.log_group import CollectTally
from pipeline.collect.pushed_reports import PushTally
from pipeline.derive.days import DayFigures
from pipeline.follow.reconcile import ReconcileTally
from pipeline.follow.workers import FollowTally
from pipeline.maintain.balance import ABSENT_DAYS, BalanceTally
from pipeline.model.printable import for_markdown
from pipeline.publish.database import Publication

Result = dg.MaterializeResult[None]
"""What an asset returns: metadata and no value, since rows go to the lake."""
SUMMARY: Final = "done"
"""Metadata entry in which a step says in one sentence what it did."""
FAILURES: Final = "failures"
"""Metadata entry in which a step lists what it did not get; the run's last check reads it."""
REJECTS: Final = "rejects"
"""Metadata entry in which `sent_messages` says for each reason how many records were rejected, and where."""
OUTCOME: Final = "run_outcome"
"""Name of the step with the run's last check, without the prefix."""
LEFT: Final = "left_to_next_run"
"""Metadata entry with the number of due messages that `max_requests` left to the next run."""
ROWS: Final = "dagster/partition_row_count"
CHART_DAYS: Final = 28
"""Most days in the chart."""
_MARGIN: Final = 36
_STEP: Final = 14
_TOP: Final = 10
_PERCENT: Final = 1.5
"""Height of one percent in the chart."""
_MATURE, _YOUNG, _INK = "#47a", "#9bd", "#888"


def results(context: dg.AssetExecutionContext, name: str, summary: str, **metadata: Any) -> Iterator[Result]:
    """Log a step's summary; yield the result of each of its assets, with the metadata for the asset `name`.

    Dagster copies metadata to each day of a range.

    Raises:
        dg.Failure: the step did not get something, and the run holds no check that would say so at its end.
    """
    context.log.info(summary)
    # The asset `name` comes last: it may be made from the others, and Dagster wants them before it.
    for key in sorted(context.selected_asset_keys, key=lambda key: (key.path[-1] == name, key)):
        about = {SUMMARY: summary, **metadata} if key.path[-1] == name else {}
        yield dg.MaterializeResult(asset_key=key, metadata=about)
    failures = metadata.get(FAILURES)
    if failures and not any(node.name.endswith(OUTCOME) for node in context.job_def.nodes):
        raise dg.Failure(description="\n".join(map(one_line, failures)), allow_retries=False)


def add_by_day(context: dg.AssetExecutionContext, name: str, figures: Mapping[str, Mapping[date, float]]) -> None:
    """Give each day of an asset its own figures, so that they plot; a day without one has 0."""
    for key in (key for key in context.selected_asset_keys if key.path[-1] == name):
        for day in days_of(context):
            known = {figure: by_day.get(day, 0) for figure, by_day in figures.items()}
            context.add_asset_metadata(known, asset_key=key, partition_key=day.isoformat())


def add_rates_by_day(context: dg.AssetExecutionContext, name: str, figures: Sequence[DayFigures]) -> None:
    """Give each day its counts, delivery rate and latency; what is not known yet is left out."""
    for key in (key for key in context.selected_asset_keys if key.path[-1] == name):
        for day in figures:
            known = {figure: value for figure, value in asdict(day).items() if value is not None}
            del known["sent_date"], known["is_mature"]
            context.add_asset_metadata(known, asset_key=key, partition_key=day.sent_date.isoformat())


def collect_summary(tally: CollectTally) -> str:
    """Return what reading the sent logs did, in one line."""
    corrected = f" ({tally.corrected:,} corrected)" if tally.corrected else ""
    waiting = f" ({tally.waiting:,} of them wait)" if tally.waiting else ""
    return (
        f"{tally.files_read} of {tally.files_matched} files read, {tally.records:,} records: "
        f"{tally.stored:,} stored, {tally.duplicates:,} known already{corrected}, {tally.rejected:,} rejected{waiting}"
        f"{_forgotten(tally.forgotten)}{_dropped(tally.dropped)}"
    )


def _dropped(count: int) -> str:
    return f"; {count:,} of days that SMS_KEEP_DAYS has dropped were left out" if count else ""


def _forgotten(count: int) -> str:
    return f"; {count:,} erased numbers came again and were dropped" if count else ""


def reject_lines(tally: CollectTally) -> list[str]:
    """Return a line for each reason of rejects, most records first."""
    return [told.line for told in sorted(tally.told.values(), key=lambda told: -told.records)]


def pushed_lines(tally: PushTally) -> list[str]:
    """Return a line for pushed reports, if some were taken or moved."""
    if not (tally.reports or tally.rejected or tally.moved):
        return []
    later = f", {tally.moved:,} of earlier runs found their message" if tally.moved else ""
    return [
        f"pushed reports: {tally.reports:,} stored, {tally.unlogged:,} unlogged, {tally.rejected:,} rejected{later}"
    ]


def pushed_metadata(tally: PushTally) -> dict[str, Any]:
    """Return the figures of pushed reports; none where nothing is pushed."""
    figures = {"pushed": tally.reports, "pushed_unlogged": tally.waiting, "pushed_rejected": tally.rejected}
    return figures if any(figures.values()) else {}


def follow_summary(tally: FollowTally) -> str:
    """Return what asking the API did, in one line."""
    answers = tally.record.answers
    by_status = ", ".join(f"{count:,} {status}" for status, count in sorted(answers.items())) or "none"
    odd = tally.record.mismatches
    disagree = f"; {odd:,} of the batches got an answer that disagrees with what was asked" if odd else ""
    asked = f"{sum(answers.values()):,} answers in {tally.batches:,} batches, {tally.requests:,} requests"
    return f"{asked}: {by_status}{disagree}{_forgotten(tally.record.forgotten)}"


def follow_metadata(tally: FollowTally) -> dict[str, Any]:
    """Return what asking the API found, for the whole run."""
    return {
        "answers_by_status": dict(tally.record.answers),
        "odd": {"calls_that_disagree": tally.record.mismatches, "rows_rejected": tally.record.rejected},
        LEFT: tally.left,
        "days_beyond_memory": len(tally.not_asked),
        "clock_offset_seconds": dict(tally.clock_offsets),
        FAILURES: list(tally.failures),
    }


def reconcile_summary(tally: ReconcileTally) -> str:
    """Return what reading the platform's record did, in one line."""
    left = f" ({tally.left:,} were read before)" if tally.left else ""
    rejected = f", {tally.rejected:,} rows rejected" if tally.rejected else ""
    return (
        f"{tally.read:,} days of apps read{left}, {tally.requests:,} requests: "
        f"{tally.rows_by_day.total():,} messages in the platform's record{rejected}{_forgotten(tally.forgotten)}"
    )


def balance_summary(tally: BalanceTally) -> str:
    """Return what asking for balances did, in one line."""
    absent = [
        f"{url} has no getBalance: balances are not known there, and all else works without; it is asked again after "
        f"{ABSENT_DAYS} days"
        for url in tally.absent
    ]
    told = "told by 1 account" if tally.stored == 1 else f"told by {tally.stored:,} accounts"
    return "; ".join([told, *absent, *tally.problems])


def publication_metadata(publication: Publication) -> dict[str, Any]:
    """Return what was published, where and when."""
    as_of = publication.data_as_of
    return {
        "path": dg.MetadataValue.path(publication.place),
        "rows": dict(publication.rows),
        "published_at": dg.MetadataValue.timestamp(publication.published_at),
        "data_as_of": dg.MetadataValue.timestamp(as_of) if as_of else "no answer yet",
    }


def run_summary(context: dg.AssetExecutionContext) -> dg.MarkdownMetadataValue:
    """Return a table of what the steps of this run did so far, a line each, and of what they did not get."""
    lines = ["| step | what it did |", "|---|---|"]
    found = materializations_of(context.instance, context.run.run_id)
    for name, metadata in ((name, metadata) for name, metadata in found.items() if SUMMARY in metadata):
        lines.append(f"| `{name}` | {for_markdown(metadata[SUMMARY])} |")
        cells = [for_markdown(one_line(failure)) for failure in metadata.get(FAILURES, [])]
        lines += [f"| | **not got:** {cell} |" for cell in cells]
    return dg.MetadataValue.md("\n".join(lines))


def rate_chart(figures: Sequence[DayFigures]) -> dg.MarkdownMetadataValue:
    """Return a chart of the delivery rate of the last days, with a line that explains it.

    Dagster's panel shows images from data URLs, drops inline SVG, and hides text of 1,000 characters and more behind a
    link: hence the plain form of the URL, which is shorter than base64.
    """
    shown = figures[-CHART_DAYS:]
    if not shown:
        return dg.MetadataValue.md("no message yet")
    image = quote(chart_svg([(day.delivery_rate, day.is_mature) for day in shown]), safe=" '/:=,;+-.!()")
    return dg.MetadataValue.md(
        f"![delivery rate by day](<data:image/svg+xml,{image}>)\n\n"
        f"{shown[0].sent_date} to {shown[-1].sent_date}; pale: still under way"
    )


def chart_svg(bars: Sequence[tuple[float | None, bool]]) -> str:
    """Draw one bar per day from 0 to 100 %, paler for days that are not mature; legible on light and dark ground.

    Args:
        bars: rate in 0 to 1 (None draws no bar) and maturity of each day, in order.
    """
    foot = _TOP + 100 * _PERCENT
    width = _MARGIN + _STEP * max(len(bars), 10)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{foot + 8:g}' font-size='11' fill='{_INK}'>"
        f"<text y='{_TOP + 4}'>100%</text><text y='{foot:g}'>0</text>"
        f"<path stroke='{_INK}' d='M{_MARGIN} {_TOP}H{width}M{_MARGIN} {foot:g}H{width}'/>"
        f"{_bars(bars, foot, is_mature=True)}{_bars(bars, foot, is_mature=False)}</svg>"
    )


def _bars(bars: Sequence[tuple[float | None, bool]], foot: float, *, is_mature: bool) -> str:
    """Draw the bars of mature days, or of the others, as strokes of one path."""
    strokes = "".join(
        f"M{_MARGIN + _STEP * place + _STEP // 2} {foot:g}v-{100 * _PERCENT * min(max(rate, 0.0), 1.0):.0f}"
        for place, (rate, mature) in enumerate(bars)
        if rate is not None and mature is is_mature
    )
    return f"<path stroke='{_MATURE if is_mature else _YOUNG}' stroke-width='10' d='{strokes}'/>" if strokes else ""
