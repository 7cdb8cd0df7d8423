"""The assets: each a few lines that call one use case of the library, and say what came of it."""

import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from assets.events import told
from assets.metadata import DONE, FAILURES, counts, listed, rate_picture, run_summary
from assets.partitions import days_of, sent_dates
from assets.rate_chart import DAYS
from assets.resources import Workspace, utc_now
from assets.specs import about
from pipeline.collect.sent_messages import collect, days_read
from pipeline.derive.days import DayFigures, figures_of, figures_of_latest, rejected_of, rows_by_day
from pipeline.derive.messages import DeriveTally, derive_messages, derive_rates
from pipeline.follow.polling import API_MEMORY
from pipeline.follow.workers import FollowTally, follow
from pipeline.maintain.due import days_asked
from pipeline.model.accounts import check_inputs
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_RATES_DAILY, DELIVERY_REPORTS, MESSAGES, SENT_MESSAGES
from pipeline.publish.database import PUBLISHING, publish
from pipeline.publish.page import write_page

ROWS = "dagster/partition_row_count"


def run_started_at(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> datetime:
    """Return when the run was made: one instant for all its steps."""
    record = context.instance.get_run_record_by_id(context.run.run_id)
    return record.create_timestamp.replace(tzinfo=UTC) if record else utc_now()


class Asking(dg.Config):
    """How `delivery_reports` asks; set in the launchpad under ops, delivery_reports, config."""

    force: bool = Field(default=False, description="Ask for every message that is not final, due or not.")
    max_calls: int | None = Field(
        default=None,
        ge=1,
        description="Most calls of this run, repeated ones included. What is left is asked for by the next run; the "
        "run says how much, and does not fail for it.",
    )
    apps: list[str] = Field(default=[], description="Apps (app_id) to ask for; none means all.")


def sent_messages(
    context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.MaterializeResult[None]:
    """Every message that the sent logs of these days name, one row a message. Only grows.

    A log that has not changed since it was read is not read again. A record that can't be used is set aside in
    `rejected_records` with the reason. Numbers are treated as `SMS_NUMBERS` says before anything is stored.
    """
    days = days_of(context)
    with told(context, done=lambda: days_read(days, lake=workspace.lake(), settings=workspace.settings)):
        check_inputs(workspace.settings)
        lake, settings = workspace.lake(), workspace.settings
        tally = collect(days, lake=lake, settings=settings, now=run_started_at(context))
        rows = rows_by_day(SENT_MESSAGES, lake=lake)
        rejected = rejected_of(days, lake=lake, settings=settings)
    _by_day(context, {"sent": rows, "stored_now": tally.stored_by_day, "rejected": rejected, ROWS: rows})
    failures = (
        []
        if tally.files_matched
        else [f"SMS_SENT_LOGS: no file matches for {days[0]} to {days[-1]}: {', '.join(settings.sent_logs)}"]
    )
    return _result(
        context,
        f"{tally.files_read} of {tally.files_matched} files read, {tally.records:,} records: "
        f"{tally.stored:,} stored, {tally.duplicates:,} known already, {tally.rejected:,} rejected",
        {"rejected_by_reason": dict(tally.rejected_by_reason), FAILURES: [*failures, *tally.failures]},
    )


def delivery_reports(
    context: dg.AssetExecutionContext, config: Asking, workspace: dg.ResourceParam[Workspace]
) -> dg.MaterializeResult[None]:
    """Every answer of getReport for the messages of these days, one row an answer. Only grows.

    A message is asked for again until its state is final or it is too old, at intervals that grow with its age.
    What the platform does not answer is said by the run's last step, after what was answered is published.
    """
    days, now = days_of(context), run_started_at(context)
    with told(context, done=lambda: days_asked(days, lake=workspace.lake(), settings=workspace.settings, now=now)):
        tally = follow(
            days,
            lake=workspace.lake(),
            accounts=workspace.accounts(),
            settings=workspace.settings,
            now=now,
            force=config.force,
            max_calls=config.max_calls,
            apps=config.apps,
            on_progress=workspace.on_progress,
        )
        rows = rows_by_day(DELIVERY_REPORTS, lake=workspace.lake())
    _say_what_was_left(context, tally)
    _by_day(
        context,
        {
            "answers": tally.record.answers_by_day,
            "calls": tally.calls_by_day,
            "retries": tally.retries_by_day,
            ROWS: rows,
        },
    )
    return _result(
        context,
        f"{sum(tally.record.answers.values()):,} answers in {tally.batches:,} batches, "
        f"{tally.requests:,} requests: {listed(tally.record.answers)}",
        {
            "answers_by_status": dict(tally.record.answers),
            "odd": {"calls_that_disagree": tally.record.mismatches, "rows_rejected": tally.record.rejected},
            "left_to_next_run": tally.left,
            "days_beyond_memory": len(tally.not_asked),
            "clock_offset_seconds": dict(tally.clock_offsets),
            FAILURES: list(tally.failures),
        },
    )


def messages(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[None]:
    """One row a sent message with its present state, derived from the logs and all answers.

    `delivered` and `failed` are never undone; `unknown` is our verdict on silence and gives way to an answer.
    A day's rows are replaced as a whole, and only if one of them changed.
    """
    done: list[date] = []
    with told(context, done=lambda: done):
        tally = derive_messages(
            days_of(context),
            lake=workspace.lake(),
            settings=workspace.settings,
            now=run_started_at(context),
            anew=workspace.anew,
            on_day=done.append,
        )
        rows = rows_by_day(MESSAGES, lake=workspace.lake())
    _by_day(context, {ROWS: rows})
    return _derived(context, tally)


def delivery_rates(
    context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.MaterializeResult[None]:
    """Counts, rates and latency of these days, by hour and day: by app, country and sender, and rolled up.

    A message counts on the day on which it was sent, so young days read low; `is_mature` says which are settled.
    The columns are those of `delivery_rates_daily`; `delivery_rates_hourly` and the two rollups have the same measures.
    """
    with told(context):
        tally = derive_rates(
            days_of(context),
            lake=workspace.lake(),
            settings=workspace.settings,
            now=run_started_at(context),
            anew=workspace.anew,
        )
        figures = figures_of(days_of(context), lake=workspace.lake(), settings=workspace.settings)
        rows = rows_by_day(DELIVERY_RATES_DAILY, lake=workspace.lake())
    _figures_by_day(context, figures)
    _by_day(context, {ROWS: rows})
    return _derived(context, tally)


def analytics_db(
    context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.MaterializeResult[None]:
    """The DuckDB file that analysts open (read-only): swapped in whole, one consistent snapshot a connection.

    Its views read the lake's files. It can be deleted at any time: the next run, or `sms-delivery publish`, brings
    it back.
    """
    with told(context):
        publication = publish(lake=workspace.lake(), settings=workspace.settings, now=utc_now())
        figures = figures_of_latest(DAYS, lake=workspace.lake(), settings=workspace.settings)
    return _result(
        context,
        f"published {publication.path.name}",
        {
            "path": dg.MetadataValue.path(str(publication.path)),
            "page": dg.MetadataValue.path(str(workspace.settings.report)),
            "delivery_rate_by_day": rate_picture(figures),
            "this_run": run_summary(context),
            "rows": dict(publication.rows),
            "published_at": dg.MetadataValue.timestamp(publication.published_at),
            "data_as_of": (
                dg.MetadataValue.timestamp(publication.data_as_of) if publication.data_as_of else "no answer yet"
            ),
        },
    )


def delivery_page(
    context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.MaterializeResult[None]:
    """The page of delivery rates that a manager opens in a browser: one file, no network."""
    with told(context), workspace.lake().lock(PUBLISHING):  # two runs at once would write the same file
        path = write_page(settings=workspace.settings)
    return _result(
        context, f"wrote {path.name}", {"path": dg.MetadataValue.path(str(path)), "bytes": path.stat().st_size}
    )


def build_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Make the assets of the picture, partitioned by day up to the rates."""
    partitioned: dict[str, Any] = {
        "partitions_def": sent_dates(settings),
        "pool": "sms_delivery_lake",
    }
    whole: dict[str, Any] = {"pool": "sms_delivery_publication"}
    chain: tuple[tuple[Callable[..., Any], list[Callable[..., Any]], dict[str, Any]], ...] = (
        (sent_messages, [], partitioned),
        (delivery_reports, [sent_messages], partitioned),
        (messages, [sent_messages, delivery_reports], partitioned),
        (delivery_rates, [messages], partitioned),
        (analytics_db, [messages, delivery_rates], whole),
        (delivery_page, [analytics_db], whole),
    )
    # One policy for all, those without partitions too: the UI then launches a range as one run.
    policy: dict[str, Any] = {"backfill_policy": dg.BackfillPolicy.single_run()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # it has no stable twin, and would head every log
        return [
            dg.asset(deps=[dep.__name__ for dep in deps], **policy, **shape, **about(compute.__name__, settings))(
                compute
            )
            for compute, deps, shape in chain
        ]


def _say_what_was_left(context: dg.AssetExecutionContext, tally: FollowTally) -> None:
    """Put in the log what was not asked for on purpose: it is no failure."""
    if tally.left:
        context.log.info(
            "%d messages that are due were left: the run has made all calls that max_calls allows; "
            "the next run asks for them",
            tally.left,
        )
    if tally.not_asked:
        context.log.info(
            "%d days (%s to %s) were not asked for: the platform remembers %d days; they were read and derived",
            len(tally.not_asked),
            tally.not_asked[0],
            tally.not_asked[-1],
            API_MEMORY.days,
        )


def _derived(context: dg.AssetExecutionContext, tally: DeriveTally) -> dg.MaterializeResult[None]:
    return _result(context, f"{len(tally.replaced)} of {len(tally.days)} days changed", {})


def _result(context: dg.AssetExecutionContext, done: str, metadata: Mapping[str, Any]) -> dg.MaterializeResult[None]:
    """Say what was done in the log and in the metadata; a range's metadata is copied to each of its days."""
    context.log.info(done)
    return dg.MaterializeResult(metadata={DONE: done, **metadata})


def _by_day(context: dg.AssetExecutionContext, figures: Mapping[str, Mapping[date, int]]) -> None:
    """Give each partition its own figures, so that they plot; a result's metadata would be copied to every one."""
    for day in days_of(context):
        context.add_asset_metadata(
            {name: by_day.get(day, 0) for name, by_day in figures.items()}, partition_key=day.isoformat()
        )


def _figures_by_day(context: dg.AssetExecutionContext, figures: list[DayFigures]) -> None:
    for day in figures:
        context.add_asset_metadata(counts(day), partition_key=day.sent_date.isoformat())
