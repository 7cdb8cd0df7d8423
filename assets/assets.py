"""The assets: each a few lines that call one use case of the library."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from assets.failures import readable_failures
from assets.partitions import days_of
from assets.resources import Workspace, utc_now
from pipeline.accounts import check_inputs
from pipeline.collect import collect
from pipeline.derive import DeriveTally, derive_messages, derive_rates
from pipeline.follow import FollowTally, follow
from pipeline.page import write_page
from pipeline.polling import API_MEMORY
from pipeline.publish import PUBLISHING, publish

GROUP = "sms_delivery"
FAILURES = "failures"
"""Metadata entry in which a step says what it did not get; the run's last check reads it."""


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
    """Every message that the sent logs of these days name, one row a message; only grows."""
    days = days_of(context)
    with readable_failures():
        check_inputs(workspace.settings)
        tally = collect(days, lake=workspace.lake(), settings=workspace.settings, now=run_started_at(context))
    _by_day(context, {"messages_stored": tally.stored_by_day})
    failures = (
        []
        if tally.files_matched
        else [f"SMS_SENT_LOGS: no file matches for {days[0]} to {days[-1]}: {', '.join(workspace.settings.sent_logs)}"]
    )
    return dg.MaterializeResult(
        metadata={
            "files_matched": tally.files_matched,
            "files_read": tally.files_read,
            "records_read": tally.records,
            "records_stored": tally.stored,
            "records_duplicate": tally.duplicates,
            "records_rejected": tally.rejected,
            "rejected_by_reason": dict(tally.rejected_by_reason),
            FAILURES: [*failures, *tally.failures],
        }
    )


def delivery_reports(
    context: dg.AssetExecutionContext, config: Asking, workspace: dg.ResourceParam[Workspace]
) -> dg.MaterializeResult[None]:
    """Every answer of getReport for the messages of these days, one row an answer, appended."""
    with readable_failures():
        tally = follow(
            days_of(context),
            lake=workspace.lake(),
            accounts=workspace.accounts(),
            settings=workspace.settings,
            now=run_started_at(context),
            force=config.force,
            max_calls=config.max_calls,
            apps=config.apps,
            on_progress=workspace.on_progress,
        )
    _say_what_was_left(context, tally)
    _by_day(
        context,
        {"answers": tally.record.answers_by_day, "calls": tally.calls_by_day, "retries": tally.retries_by_day},
    )
    return dg.MaterializeResult(
        metadata={
            "answers_total": sum(tally.record.answers.values()),
            "answers_by_status": dict(tally.record.answers),
            "batches": tally.batches,
            "requests": tally.requests,
            "requests_repeated": tally.retries,
            "mismatches": tally.record.mismatches,
            "rows_rejected": tally.record.rejected,
            "left_to_next_run": tally.left,
            "days_beyond_memory": len(tally.not_asked),
            "clock_offset_seconds": dict(tally.clock_offsets),
            FAILURES: list(tally.failures),
        }
    )


def messages(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[None]:
    """One row a sent message with its present state, derived from the logs and all answers."""
    with readable_failures():
        tally = derive_messages(
            days_of(context),
            lake=workspace.lake(),
            settings=workspace.settings,
            now=run_started_at(context),
            anew=workspace.anew,
        )
    return _derived(tally)


def delivery_rates(
    context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.MaterializeResult[None]:
    """Counts, rates and latency of these days by hour, day, app, country and sender."""
    with readable_failures():
        tally = derive_rates(
            days_of(context),
            lake=workspace.lake(),
            settings=workspace.settings,
            now=run_started_at(context),
            anew=workspace.anew,
        )
    return _derived(tally)


def analytics_db(
    context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.MaterializeResult[None]:
    """The DuckDB file that analysts open: swapped in whole, one consistent snapshot a connection."""
    del context
    with readable_failures():
        publication = publish(lake=workspace.lake(), settings=workspace.settings, now=utc_now())
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(str(publication.path)),
            "rows": dict(publication.rows),
            "published_at": publication.published_at.isoformat(),
            "data_as_of": publication.data_as_of.isoformat() if publication.data_as_of else "no answer yet",
        }
    )


def delivery_page(
    context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.MaterializeResult[None]:
    """The page of delivery rates that a manager opens: one file, no network."""
    del context
    with readable_failures(), workspace.lake().lock(PUBLISHING):  # two runs at once would write the same file
        path = write_page(settings=workspace.settings)
    return dg.MaterializeResult(metadata={"path": dg.MetadataValue.path(str(path))})


def build_assets(days: dg.PartitionsDefinition[str]) -> list[dg.AssetsDefinition]:
    """Make the assets of the picture, partitioned by day up to the rates."""
    partitioned: dict[str, Any] = {
        "partitions_def": days,
        "backfill_policy": dg.BackfillPolicy.single_run(),
        "group_name": GROUP,
        "pool": "sms_delivery_lake",
    }
    whole: dict[str, Any] = {"group_name": GROUP, "pool": "sms_delivery_publication"}
    return [
        dg.asset(kinds={"python", "deltalake"}, **partitioned)(sent_messages),
        dg.asset(deps=[sent_messages.__name__], kinds={"python", "deltalake"}, **partitioned)(delivery_reports),
        dg.asset(
            deps=[sent_messages.__name__, delivery_reports.__name__], kinds={"duckdb", "deltalake"}, **partitioned
        )(messages),
        dg.asset(deps=[messages.__name__], kinds={"duckdb", "deltalake"}, **partitioned)(delivery_rates),
        dg.asset(deps=[messages.__name__, delivery_rates.__name__], kinds={"duckdb"}, **whole)(analytics_db),
        dg.asset(deps=[analytics_db.__name__], kinds={"html"}, **whole)(delivery_page),
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


def _derived(tally: DeriveTally) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(
        metadata={"partitions_looked_at": len(tally.days), "partitions_replaced": len(tally.replaced)}
    )


def _by_day(context: dg.AssetExecutionContext, figures: Mapping[str, Mapping[date, int]]) -> None:
    """Give each partition its own figures; a result's metadata would be copied to every one of a range."""
    for day in days_of(context):
        context.add_asset_metadata(
            {name: Counter(by_day)[day] for name, by_day in figures.items()}, partition_key=day.isoformat()
        )
