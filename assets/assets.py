"""The assets: each step calls one use case of the library and returns its figures.

What belongs here: assets with what they say of themselves, their dependencies and their run config. What does not: how
figures show (`metadata.py`), facts that all assets have (`specs.py`), and any rule about messages (`pipeline`).

Each function makes one step, since names, zone and first day come from the settings; its docstring is what the UI says
of its main asset. A step may be run for some of its assets; it does the same work then.
"""

import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from inspect import getdoc
from typing import Any, Final

import dagster as dg
from pydantic import Field

from assets import metadata
from assets.events import step_events
from assets.metadata import FAILURES, REJECTS, ROWS, Result, add_by_day, results
from assets.partitions import days_of, sent_dates
from assets.phases import (
    ASKING,
    ASKING_BALANCE,
    COUNTING,
    DERIVING,
    PUBLISHING_FILE,
    READING,
    READING_RECORD,
    WRITING_PAGE,
)
from assets.project import ASKING_POOL, PUBLICATION_POOL, Project
from assets.resources import Workspace, utc_now
from assets.specs import FRESH, about_file, about_lake_table, about_table, asset_spec, table_spec, tables_and_views
from pipeline.collect.pushed_reports import take_pushed
from pipeline.collect.sent_messages import collect, days_read
from pipeline.derive.days import figures_of, figures_of_latest, rejected_of, rows_by_day
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.follow.reconcile import reconcile
from pipeline.follow.workers import FollowTally, follow
from pipeline.maintain.balance import accounts_due, store_balances
from pipeline.maintain.due import days_asked
from pipeline.model.accounts import check_inputs, load_accounts
from pipeline.model.settings import API_MEMORY, Settings
from pipeline.model.tables import (
    ACCOUNT_BALANCE,
    API_CALLS,
    DELIVERY_RATES_DAILY,
    DELIVERY_REPORTS,
    MESSAGES,
    PLATFORM_RECORD,
    PUSHED_REPORTS,
    RATE_PUBLICATIONS,
    RATE_TABLES,
    RECORD_READS,
    REJECTED_RECORDS,
    SENT_MESSAGES,
    SNAPSHOT_INFO,
)
from pipeline.publish.again import publish_again
from pipeline.publish.database import PUBLISHING, publish
from pipeline.publish.page.writing import write_page

Results = Iterator[Result]
_RATE_QUERIES: Final = [
    *(f"derive/sql/{table.name}" for table in RATE_TABLES),
    "derive/sql/rate_measures",
    "derive/sql/messages_by_hour",
]


class RecordConfig(dg.Config):
    """How `platform_record` reads; set in the launchpad under ops, platform_record, config."""

    only_unread: bool = Field(
        default=False, description="Leave out the days that were read since no message of them was under way."
    )


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


def build_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Make the assets in their order, partitioned by day up to the rates."""
    steps = (
        sent_messages, delivery_reports, messages, delivery_rates, account_balance, platform_record, analytics_db,
        delivery_page,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # `backfill_policy` has no stable twin
        return [step(settings) for step in steps]


def sent_messages(settings: Settings) -> dg.AssetsDefinition:
    """Every message in the sent logs of these days, one row per message, as its log says now.

    A log is read again if it or a setting that it is read with has changed; no log removes a message. A record that
    can't be used is stored in `rejected_records` with the reason. Numbers are treated as `SMS_NUMBERS` says before
    anything is stored.
    """
    from_logs: dict[str, Any] = {"kinds": {"python", "deltalake"}, "source": "sent_logs", "numbers": True}

    @dg.multi_asset(
        specs=[
            table_spec(SENT_MESSAGES, settings, description=getdoc(sent_messages), **from_logs),
            table_spec(REJECTED_RECORDS, settings, **from_logs),
            table_spec(PUSHED_REPORTS, settings, **from_logs | {"source": "pushed_reports"}),
        ],
        **_by_day("sent_messages", settings),
    )
    def read_logs(context: dg.AssetExecutionContext, sms_workspace: dg.ResourceParam[Workspace]) -> Results:
        days, now = days_of(context), run_started_at(context)
        with (
            step_events(context, lambda: _read(days, sms_workspace, now)),
            sms_workspace.phase(READING) as phase,
        ):
            check_inputs(sms_workspace.settings)
            lake, settings = sms_workspace.lake, sms_workspace.settings
            tally = collect(days, lake=lake, settings=settings, now=now, on_progress=phase.update)
            pushed = take_pushed(lake=lake, settings=settings, now=now)
            phase.done(metadata.collect_summary(tally), *metadata.reject_lines(tally), *metadata.pushed_lines(pushed))
            rows = rows_by_day(SENT_MESSAGES, lake=lake)
            rejected = rejected_of(days, lake=lake, settings=settings)
        figures = {"sent": rows, "stored_now": tally.stored_by_day, "rejected": rejected, ROWS: rows}
        add_by_day(context, SENT_MESSAGES.name, figures)
        add_by_day(context, REJECTED_RECORDS.name, {ROWS: rejected})
        add_by_day(context, PUSHED_REPORTS.name, {ROWS: rows_by_day(PUSHED_REPORTS, lake=lake)})
        failures = list(tally.failures)
        if not tally.files_matched:
            patterns = ", ".join(settings.sent_logs)
            failures.insert(0, f"SMS_SENT_LOGS: no file matches for {days[0]} to {days[-1]}: {patterns}")
        found = {REJECTS: metadata.reject_lines(tally), FAILURES: failures, **metadata.pushed_metadata(pushed)}
        yield from results(context, SENT_MESSAGES.name, metadata.collect_summary(tally), **found)

    return read_logs


def delivery_reports(settings: Settings) -> dg.AssetsDefinition:
    """Every answer of getReport for the messages of these days, one row per answer. None is removed.

    A message is asked for again until its state is final or it is too old, at intervals that grow with its age. The
    check `every_question_answered` fails the run for what the platform does not answer; what was answered is published.
    """
    from_api: dict[str, Any] = {
        "kinds": {"python", "deltalake"}, "source": "getreport", "deps": ["sent_messages", "pushed_reports"],
    }  # fmt: skip

    @dg.multi_asset(
        specs=[
            table_spec(DELIVERY_REPORTS, settings, description=getdoc(delivery_reports), numbers=True, **from_api),
            table_spec(API_CALLS, settings, **from_api),
        ],
        **_by_day("delivery_reports", settings) | {"pool": ASKING_POOL},
    )
    def ask(
        context: dg.AssetExecutionContext, config: AskConfig, sms_workspace: dg.ResourceParam[Workspace]
    ) -> Results:
        days, now = days_of(context), utc_now()  # not the run's start: it may have waited for others that asked
        with step_events(context, lambda: _asked(days, sms_workspace, now)), sms_workspace.phase(ASKING) as phase:
            lake, settings = sms_workspace.lake, sms_workspace.settings
            tally = follow(
                days,
                lake=lake,
                accounts=load_accounts(settings),
                settings=settings,
                now=now,
                on_progress=phase.update,
                **config.model_dump(),
            )
            phase.done(metadata.follow_summary(tally))
            rows = {table.name: rows_by_day(table, lake=lake) for table in (DELIVERY_REPORTS, API_CALLS)}
        _log_what_was_left(context, tally)
        answers, calls, retries = tally.record.answers_by_day, tally.requests_by_day, tally.retries_by_day
        figures: dict[str, Mapping[date, float]] = {"answers": answers, "calls": calls, "retries": retries}
        figures |= {ROWS: rows[DELIVERY_REPORTS.name]}
        add_by_day(context, DELIVERY_REPORTS.name, figures)
        add_by_day(context, API_CALLS.name, {ROWS: rows[API_CALLS.name]})
        found = metadata.follow_metadata(tally)
        yield from results(context, DELIVERY_REPORTS.name, metadata.follow_summary(tally), **found)

    return ask


def messages(settings: Settings) -> dg.AssetsDefinition:
    """One row per sent message with its present state, derived from the logs and all answers.

    `delivered` and `failed` are never undone; `unknown` is our verdict on silence and gives way to an answer.
    A day's rows are replaced as a whole, and only if one of them changed.
    """
    deps, queries = ["sent_messages", "delivery_reports", "pushed_reports"], ["derive/sql/messages"]

    @dg.multi_asset(
        specs=[table_spec(MESSAGES, settings, description=getdoc(messages), deps=deps, queries=queries, numbers=True)],
        **_by_day("messages", settings),
    )
    def derive_states(context: dg.AssetExecutionContext, sms_workspace: dg.ResourceParam[Workspace]) -> Results:
        completed: list[date] = []
        with step_events(context, lambda: completed), sms_workspace.phase(DERIVING) as phase:
            tally = derive_messages(
                days_of(context),
                lake=sms_workspace.lake,
                settings=sms_workspace.settings,
                now=run_started_at(context),
                latest=utc_now(),
                on_day=completed.append,
                on_progress=phase.update,
            )
            phase.done(str(tally))
            rows = rows_by_day(MESSAGES, lake=sms_workspace.lake)
        add_by_day(context, MESSAGES.name, {ROWS: rows})
        yield from results(context, MESSAGES.name, str(tally))

    return derive_states


def delivery_rates(settings: Settings) -> dg.AssetsDefinition:
    """Counts, rates and latency of each of these days.

    The four tables hold them by hour and day, by app, country and sender, and rolled up. A message counts on the day on
    which it was sent, so young days read low; `is_mature` says which are settled.
    """
    whole_days = asset_spec(
        "delivery_rates", settings, deps=[table.name for table in RATE_TABLES], queries=_RATE_QUERIES,
        description=getdoc(delivery_rates), kinds={"duckdb", "deltalake"},
        metadata=about_lake_table(DELIVERY_RATES_DAILY, settings),
    )  # fmt: skip

    @dg.multi_asset(
        specs=[
            *(table_spec(table, settings, deps=["messages"], queries=_RATE_QUERIES) for table in RATE_TABLES),
            whole_days,
        ],
        **_by_day("delivery_rates", settings),
    )
    def derive_figures(context: dg.AssetExecutionContext, sms_workspace: dg.ResourceParam[Workspace]) -> Results:
        days = days_of(context)
        with step_events(context), sms_workspace.phase(COUNTING) as phase:
            lake, settings = sms_workspace.lake, sms_workspace.settings
            now = run_started_at(context)
            tally = derive_rates(days, lake=lake, settings=settings, now=now, on_progress=phase.update)
            phase.done(str(tally))
            figures = figures_of(days, lake=lake, settings=settings)
            rows = {table.name: rows_by_day(table, lake=lake) for table in RATE_TABLES}
        for name, by_day in rows.items():
            add_by_day(context, name, {ROWS: by_day})
        add_by_day(context, "delivery_rates", {ROWS: rows[DELIVERY_RATES_DAILY.name]})
        metadata.add_rates_by_day(context, "delivery_rates", figures)
        yield from results(context, "delivery_rates", str(tally))

    return derive_figures


def account_balance(settings: Settings) -> dg.AssetsDefinition:
    """What is left on each account, and what its messages cost a day; asked for once an hour at most (getBalance).

    A platform that refuses it is told in a line, and fails no run; one that has no getBalance is told once. The check
    `balance_lasts` warns in time.
    """

    @dg.multi_asset(
        specs=[
            table_spec(
                ACCOUNT_BALANCE, settings, description=getdoc(account_balance), kinds={"python", "deltalake"},
                source="getbalance", deps=["messages"],
            )
        ],
        **_step("account_balance", settings) | {"pool": ASKING_POOL},
    )  # fmt: skip
    def ask_balance(context: dg.AssetExecutionContext, sms_workspace: dg.ResourceParam[Workspace]) -> Results:
        summary = "asked for within the last hour, or the platform has no getBalance"
        with step_events(context):
            lake, settings, now = sms_workspace.lake, sms_workspace.settings, utc_now()
            accounts = load_accounts(settings)
            if due := accounts_due(lake, accounts, now):
                with sms_workspace.phase(ASKING_BALANCE) as phase:
                    tally = store_balances(due, lake=lake, accounts=accounts, settings=settings, now=now)
                    phase.done(summary := metadata.balance_summary(tally))
        yield from results(context, ACCOUNT_BALANCE.name, summary)

    return ask_balance


def platform_record(settings: Settings) -> dg.AssetsDefinition:
    """The platform's own record of what was sent on these days (getSentRcd), to compare with the sent logs.

    It decides no state. A day is replaced as a whole; a run that died is gone on with by the next one. The job
    `delivery_reconcile` reads it; the check `every_record_read` fails the run for what the platform does not give.
    """
    from_api: dict[str, Any] = {
        "kinds": {"python", "deltalake"}, "source": "getsentrcd", "deps": ["sent_messages"],
    }  # fmt: skip

    @dg.multi_asset(
        specs=[
            table_spec(PLATFORM_RECORD, settings, description=getdoc(platform_record), numbers=True, **from_api),
            table_spec(RECORD_READS, settings, **from_api),
        ],
        **_by_day("platform_record", settings) | {"pool": ASKING_POOL},
    )
    def read_record(
        context: dg.AssetExecutionContext, config: RecordConfig, sms_workspace: dg.ResourceParam[Workspace]
    ) -> Results:
        with step_events(context), sms_workspace.phase(READING_RECORD) as phase:
            lake, settings = sms_workspace.lake, sms_workspace.settings
            tally = reconcile(
                days_of(context),
                lake=lake,
                accounts=load_accounts(settings),
                settings=settings,
                now=run_started_at(context),
                only_unread=config.only_unread,
                on_progress=phase.update,
            )
            phase.done(metadata.reconcile_summary(tally))
            if tally.requests:  # the step of the file does not wait for this one
                publish_again(lake=lake, settings=settings, now=utc_now())
            rows = {table.name: rows_by_day(table, lake=lake) for table in (PLATFORM_RECORD, RECORD_READS)}
        for name, by_day in rows.items():
            add_by_day(context, name, {ROWS: by_day})
        found: dict[str, Any] = {FAILURES: list(tally.failures)}
        yield from results(context, PLATFORM_RECORD.name, metadata.reconcile_summary(tally), **found)

    return read_record


def analytics_db(settings: Settings) -> dg.AssetsDefinition:
    """The DuckDB file that analysts open (read-only). It is swapped in whole: each connection sees one snapshot.

    Its views read the lake's files, those of `platform_record` and `record_reads` as well: no dependency, since most
    never read the record and the UI would warn of it each time; the step that reads it publishes it. If the file is
    deleted, the next run or `sms-delivery publish` makes it again.
    """
    deps = ["rejected_records", "api_calls", "pushed_reports", "messages", "delivery_rates", "account_balance"]
    about = about_table(SNAPSHOT_INFO, "duckdb", settings.duckdb, url=settings.duckdb_url)
    about |= {"tables_and_views": tables_and_views()}

    @dg.multi_asset(
        specs=[
            asset_spec(
                "analytics_db", settings, deps=deps, description=getdoc(analytics_db), metadata=about,
                kinds={"duckdb"}, freshness_policy=FRESH, numbers=True,
            ),
            table_spec(RATE_PUBLICATIONS, settings, deps=["delivery_rates"]),
        ],
        **_whole("analytics_db", settings),
    )  # fmt: skip
    def publish_file(context: dg.AssetExecutionContext, sms_workspace: dg.ResourceParam[Workspace]) -> Results:
        with step_events(context), sms_workspace.phase(PUBLISHING_FILE) as phase:
            lake, settings = sms_workspace.lake, sms_workspace.settings
            publication = publish(lake=lake, settings=settings, now=utc_now())
            phase.done(published := f"published {settings.duckdb.name}")
            figures = figures_of_latest(metadata.CHART_DAYS, lake=lake, settings=settings)
        yield from results(
            context,
            "analytics_db",
            published,
            page=dg.MetadataValue.path(str(settings.report)),
            delivery_rate_by_day=metadata.rate_chart(figures),
            this_run=metadata.run_summary(context),
            **metadata.publication_metadata(publication),
        )

    return publish_file


def delivery_page(settings: Settings) -> dg.AssetsDefinition:
    """The page of delivery rates for a manager's browser: one file that needs no network."""

    @dg.multi_asset(
        specs=[
            asset_spec(
                "delivery_page", settings, deps=["analytics_db"], description=getdoc(delivery_page), kinds={"html"},
                freshness_policy=FRESH, metadata=about_file("html", settings.report),
            )
        ],
        **_whole("delivery_page", settings),
    )  # fmt: skip
    def write(context: dg.AssetExecutionContext, sms_workspace: dg.ResourceParam[Workspace]) -> Results:
        with step_events(context), sms_workspace.phase(WRITING_PAGE) as phase:
            with sms_workspace.lake.lock(PUBLISHING):  # two runs at once would write the same file
                path = write_page(settings=sms_workspace.settings)
            phase.done(f"wrote {path.name}")
        found = {"path": dg.MetadataValue.path(str(path)), "bytes": path.stat().st_size}
        yield from results(context, "delivery_page", f"wrote {path.name}", **found)

    return write


def run_started_at(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> datetime:
    """Return when the run was created: the same instant for all its steps."""
    record = context.instance.get_run_record_by_id(context.run.run_id)
    return record.create_timestamp.replace(tzinfo=UTC) if record else utc_now()


def _by_day(name: str, settings: Settings) -> dict[str, Any]:
    """Return the arguments of a step that runs over days: any range of them in one run."""
    return _step(name, settings) | {"partitions_def": sent_dates(settings)}


def _whole(name: str, settings: Settings) -> dict[str, Any]:
    """Return the arguments of a step that makes one file of all days."""
    return _step(name, settings) | {"pool": PUBLICATION_POOL}


def _step(name: str, settings: Settings) -> dict[str, Any]:
    # One policy for all, those without partitions too: a job's range is launched as one run.
    return {
        "name": Project.of(settings).named(name),
        "can_subset": True,
        "backfill_policy": dg.BackfillPolicy.single_run(),
    }


def _read(days: list[date], workspace: Workspace, now: datetime) -> list[date]:
    return days_read(days, lake=workspace.lake, settings=workspace.settings, now=now)


def _asked(days: list[date], workspace: Workspace, now: datetime) -> Iterator[date]:
    return days_asked(days, lake=workspace.lake, settings=workspace.settings, now=now)


def _log_what_was_left(context: dg.AssetExecutionContext, tally: FollowTally) -> None:
    """Log what the run left out on purpose; that is no failure."""
    if tally.left:
        context.log.info("%d messages that are due were left to the next run: max_requests is reached", tally.left)
    if days := tally.not_asked:
        span = f"{days[0]} to {days[-1]}"
        text = "%d days (%s) were not asked for: the platform remembers %d days"
        context.log.info(text, len(days), span, API_MEMORY.days)
