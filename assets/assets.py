"""The assets: each calls one use case of the library and returns its figures.

What belongs here: assets, their dependencies and their run config. What does not: how figures show (`metadata.py`),
what an asset says before any run (`specs.py`), and any rule about messages (`pipeline`).
"""

import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import dagster as dg
from pydantic import Field

from assets import metadata
from assets.events import step_events
from assets.metadata import FAILURES, REJECTS, ROWS, Result, add_by_day, result
from assets.partitions import days_of, sent_dates
from assets.resources import Workspace, utc_now
from assets.specs import asset_spec
from pipeline.collect.sent_messages import collect, days_read
from pipeline.derive.days import figures_of, figures_of_latest, rejected_of, rows_by_day
from pipeline.derive.messages import derive_messages
from pipeline.derive.partitions import DeriveTally
from pipeline.derive.rates import derive_rates
from pipeline.follow.due import API_MEMORY
from pipeline.follow.workers import FollowTally, follow
from pipeline.maintain.due import days_asked
from pipeline.model.accounts import check_inputs, load_accounts
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_RATES_DAILY, DELIVERY_REPORTS, MESSAGES, SENT_MESSAGES
from pipeline.publish.database import PUBLISHING, publish
from pipeline.publish.page.writing import write_page


class AskConfig(dg.Config):
    """How `delivery_reports` asks; set in the launchpad under ops, delivery_reports, config."""

    force: bool = Field(default=False, description="Ask for every message that is not final, due or not.")
    max_requests: int | None = Field(
        default=None,
        ge=1,
        description="Most requests of this run, repeated ones included. The next run asks for the rest; the run "
        "reports how much is left, and does not fail.",
    )
    apps: list[str] = Field(default=[], description="Apps (app_id) to ask for; none means all.")


def sent_messages(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Result:
    """Every message in the sent logs of these days, one row per message, as its log says now.

    A log is read again if it or a setting that it is read with has changed; no log removes a message. A record that
    can't be used is stored in `rejected_records` with the reason. Numbers are treated as `SMS_NUMBERS` says before
    anything is stored.
    """
    days = days_of(context)
    with step_events(context, lambda: days_read(days, lake=workspace.lake, settings=workspace.settings)):
        check_inputs(workspace.settings)
        lake, settings = workspace.lake, workspace.settings
        tally = collect(days, lake=lake, settings=settings, now=run_started_at(context))
        rows = rows_by_day(SENT_MESSAGES, lake=lake)
        rejected = rejected_of(days, lake=lake, settings=settings)
    add_by_day(context, {"sent": rows, "stored_now": tally.stored_by_day, "rejected": rejected, ROWS: rows})
    failures = list(tally.failures)
    if not tally.files_matched:
        patterns = ", ".join(settings.sent_logs)
        failures.insert(0, f"SMS_SENT_LOGS: no file matches for {days[0]} to {days[-1]}: {patterns}")
    return result(
        context,
        metadata.collect_summary(tally),
        **{REJECTS: metadata.reject_lines(tally), FAILURES: failures},
    )


def delivery_reports(
    context: dg.AssetExecutionContext, config: AskConfig, workspace: dg.ResourceParam[Workspace]
) -> Result:
    """Every answer of getReport for the messages of these days, one row per answer. None is removed.

    A message is asked for again until its state is final or it is too old, at intervals that grow with its age.
    The run's last step fails for what the platform does not answer, after what was answered is published.
    """
    days, now = days_of(context), run_started_at(context)
    with step_events(context, lambda: days_asked(days, lake=workspace.lake, settings=workspace.settings, now=now)):
        tally = follow(
            days,
            lake=workspace.lake,
            accounts=load_accounts(workspace.settings),
            settings=workspace.settings,
            now=now,
            force=config.force,
            max_requests=config.max_requests,
            apps=config.apps,
            on_progress=workspace.on_progress,
        )
        rows = rows_by_day(DELIVERY_REPORTS, lake=workspace.lake)
    _log_what_was_left(context, tally)
    answers, calls, retries = tally.record.answers_by_day, tally.requests_by_day, tally.retries_by_day
    add_by_day(context, {"answers": answers, "calls": calls, "retries": retries, ROWS: rows})
    return result(context, metadata.follow_summary(tally), **metadata.follow_metadata(tally))


def messages(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Result:
    """One row per sent message with its present state, derived from the logs and all answers.

    `delivered` and `failed` are never undone; `unknown` is our verdict on silence and gives way to an answer.
    A day's rows are replaced as a whole, and only if one of them changed.
    """
    completed: list[date] = []
    with step_events(context, lambda: completed):
        tally = derive_messages(
            days_of(context),
            lake=workspace.lake,
            settings=workspace.settings,
            now=run_started_at(context),
            on_day=completed.append,
        )
        rows = rows_by_day(MESSAGES, lake=workspace.lake)
    add_by_day(context, {ROWS: rows})
    return _derived(context, tally)


def delivery_rates(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Result:
    """Counts, rates and latency of these days, by hour and day: by app, country and sender, and rolled up.

    A message counts on the day on which it was sent, so young days read low; `is_mature` says which are settled.
    The columns are those of `delivery_rates_daily`; `delivery_rates_hourly` and the two rollups have the same measures.
    """
    days = days_of(context)
    with step_events(context):
        lake, settings = workspace.lake, workspace.settings
        tally = derive_rates(days, lake=lake, settings=settings, now=run_started_at(context))
        figures = figures_of(days, lake=lake, settings=settings)
        rows = rows_by_day(DELIVERY_RATES_DAILY, lake=lake)
    metadata.add_rates_by_day(context, figures)
    add_by_day(context, {ROWS: rows})
    return _derived(context, tally)


def analytics_db(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Result:
    """The DuckDB file that analysts open (read-only). It is swapped in whole: each connection sees one snapshot.

    Its views read the lake's files. If it is deleted, the next run or `sms-delivery publish` makes it again.
    """
    with step_events(context):
        publication = publish(lake=workspace.lake, settings=workspace.settings, now=utc_now())
        figures = figures_of_latest(metadata.CHART_DAYS, lake=workspace.lake, settings=workspace.settings)
    return result(
        context,
        f"published {publication.path.name}",
        page=dg.MetadataValue.path(str(workspace.settings.report)),
        delivery_rate_by_day=metadata.rate_chart(figures),
        this_run=metadata.run_summary(context),
        **metadata.publication_metadata(publication),
    )


def delivery_page(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Result:
    """The page of delivery rates for a manager's browser: one file that needs no network."""
    with step_events(context), workspace.lake.lock(PUBLISHING):  # two runs at once would write the same file
        path = write_page(settings=workspace.settings)
    return result(context, f"wrote {path.name}", path=dg.MetadataValue.path(str(path)), bytes=path.stat().st_size)


def build_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Make the assets in their order, partitioned by day up to the rates."""
    # One policy for all, those without partitions too: the UI then launches a range as one run.
    asset = partial(dg.asset, backfill_policy=dg.BackfillPolicy.single_run())
    by_day = partial(asset, partitions_def=sent_dates(settings), pool="sms_delivery_lake")
    whole = partial(asset, pool="sms_delivery_publication")
    chain: list[tuple[Callable[..., Result], list[str], Callable[..., Any]]] = [
        (sent_messages, [], by_day),
        (delivery_reports, ["sent_messages"], by_day),
        (messages, ["sent_messages", "delivery_reports"], by_day),
        (delivery_rates, ["messages"], by_day),
        (analytics_db, ["messages", "delivery_rates"], whole),
        (delivery_page, ["analytics_db"], whole),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # `backfill_policy` has no stable twin
        return [make(deps=deps, **asset_spec(run.__name__, settings))(run) for run, deps, make in chain]


def run_started_at(context: dg.AssetExecutionContext) -> datetime:
    """Return when the run was created: the same instant for all its steps."""
    record = context.instance.get_run_record_by_id(context.run.run_id)
    return record.create_timestamp.replace(tzinfo=UTC) if record else utc_now()


def _log_what_was_left(context: dg.AssetExecutionContext, tally: FollowTally) -> None:
    """Log what the run left out on purpose; that is no failure."""
    if tally.left:
        context.log.info("%d messages that are due were left to the next run: max_requests is reached", tally.left)
    if days := tally.not_asked:
        span = f"{days[0]} to {days[-1]}"
        text = "%d days (%s) were not asked for: the platform remembers %d days"
        context.log.info(text, len(days), span, API_MEMORY.days)


def _derived(context: dg.AssetExecutionContext, tally: DeriveTally) -> Result:
    return result(context, f"{len(tally.replaced)} of {len(tally.days)} days changed")
