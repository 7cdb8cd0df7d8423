"""The commands: each reads its arguments, calls one function and ends with an exit status.

What belongs here: arguments, `--help`, exit statuses. What does not: the work itself, imported when a command runs, so
that `--help` needs neither pandas nor Dagster. Exit status: 0 done, 1 the run failed, 2 usage or settings are wrong.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from assets.cli.output import say
from assets.cli.signals import FAILED, MOMENT_SECONDS, STOPPED, stopped_by_signals
from pipeline import __version__
from pipeline.model.errors import LakeError, SettingsError, SmsDeliveryError
from pipeline.model.printable import printable

if TYPE_CHECKING:
    from pipeline.model.settings import Settings

DATE: Final = click.DateTime(formats=["%Y-%m-%d"])
WRONG: Final = 2


@contextmanager
def exit_status() -> Iterator[None]:
    """Turn signals and expected errors into one line and an exit status: 2 for settings, 1 for the rest."""
    with warnings.catch_warnings(), stopped_by_signals() as signal_arrived:
        warnings.showwarning = _show_warning
        try:
            yield
        except (KeyboardInterrupt, Exception) as error:
            if isinstance(error, KeyboardInterrupt) or signal_arrived.wait(MOMENT_SECONDS):
                say(STOPPED, err=True)
                sys.exit(FAILED)
            expected = _expected(error)
            if expected is None:
                raise
            _WARNINGS.print_counts()
            say(f"sms-delivery: {expected}", err=True)
            sys.exit(WRONG if isinstance(expected, SettingsError) else FAILED)
        _WARNINGS.print_counts()


def _expected(error: Exception) -> SmsDeliveryError | None:
    """Return the project's error for a failure that is no bug; Dagster is imported only where it may be needed."""
    if isinstance(error, SmsDeliveryError) and not isinstance(error, LakeError):
        return error
    from assets.events import expected_error  # noqa: PLC0415

    return expected_error(error)


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    if category is UserWarning:
        say(f"sms-delivery: warning: {message}", err=True)


class _EqualOnce(logging.Handler):
    """Prints a warning when it is first logged, and at the end how often each was; ids of calls don't count."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._seen: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Print the warning unless it was printed before."""
        text = printable(record.getMessage())
        key = _VARIABLE.sub("", text)
        self._seen[key] += 1
        if self._seen[key] == 1:
            say(text, err=True)

    def print_counts(self) -> None:
        """Print the warnings that came again, and forget all."""
        for key, times in self._seen.items():
            if times > 1:
                say(f"{times:,} times: {' '.join(key.split())}", err=True)
        self._seen.clear()

    def end(self) -> None:
        """Leave the project's logger with the command: what others log in this process is not the next command's."""
        logging.getLogger("pipeline").removeHandler(self)
        self._seen.clear()


_VARIABLE: Final = re.compile(r"call [0-9a-f]{32} of |, \d+ ids\b")
"""What differs between equal warnings: the id of a call and the size of its batch."""
_WARNINGS: Final = _EqualOnce()


@contextmanager
def loaded_settings() -> Iterator[Settings]:
    """Load the settings for the block; signals and expected errors end the command as `exit_status` says."""
    with exit_status():
        from pipeline.model.settings import load_settings  # noqa: PLC0415

        yield load_settings()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True})
@click.version_option(__version__, prog_name="sms-delivery")
def main() -> None:
    """Follow every sent SMS to its final state, and publish delivery rates in DuckDB.

    Settings are environment variables SMS_… or lines of a .env file in this folder or above it; the README
    lists them. Exit status: 0 done, 1 the run failed, 2 usage or settings are wrong.
    """
    # Python shows warnings by itself for a logger without a handler; a run in Dagster adds a handler of its own.
    logging.getLogger("pipeline").addHandler(_WARNINGS)
    click.get_current_context().call_on_close(_WARNINGS.end)


@main.command()
@click.option("--from", "first", type=DATE, help="First day of sending (default: see above).")
@click.option("--to", "last", type=DATE, help="Last day of sending, included (default: today).")
@click.option("--force", is_flag=True, help="Ask for every message that is not final, due or not.")
def run(first: datetime | None, last: datetime | None, force: bool) -> None:
    """Read logs, ask for what is due, derive rates, publish.

    Without --from and --to: today, the three days before, and every day with a message that is due or
    has turned unknown. Days are those of SMS_TIMEZONE. Needs SMS_SENT_LOGS, SMS_API_KEY and
    SMS_API_SECRET.
    """
    with loaded_settings() as settings:
        from pipeline.model.accounts import check_inputs  # noqa: PLC0415

        check_inputs(settings)
        from assets.cli.run import refresh  # noqa: PLC0415 - Dagster takes a second to import
        from pipeline.model.settings import env_file  # noqa: PLC0415

        say(f"settings: those of the environment and {env_file() or 'no .env'}")
        refresh(settings, first=_day(first), last=_day(last), force=force)


@main.command()
@click.option("--from", "first", type=DATE, help="First day of sending (default: see above).")
@click.option("--to", "last", type=DATE, help="Last day of sending, included (default: today).")
def reconcile(first: datetime | None, last: datetime | None) -> None:
    """Compare the sent logs with the platform's own record.

    Reads what the platform has on record (getSentRcd), at most 90 days back, and publishes what no log has
    (unlogged_messages), what the record lacks (unrecorded_messages), and other states (record_differences).
    Without --from and --to: each day on which no message is under way any more, once. No state is changed.
    """
    with loaded_settings() as settings:
        from pipeline.model.accounts import check_inputs  # noqa: PLC0415

        check_inputs(settings)
        from assets.cli.run import reconcile as reconcile_days  # noqa: PLC0415 - Dagster takes a second to import

        reconcile_days(settings, first=_day(first), last=_day(last))


@main.command()
@click.option("--from", "first", type=DATE, required=True, help="First day of sending.")
@click.option("--to", "last", type=DATE, required=True, help="Last day of sending, included.")
@click.option("--days-per-run", default=7, type=click.IntRange(1), help="Days of each run.")
@click.option(
    "--workspace",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File that names the code location sms_delivery (default: this package).",
)
def backfill(first: datetime, last: datetime, days_per_run: int, workspace: Path | None) -> None:
    """Run the chain for a long range of days, in many runs.

    Several run at once where DAGSTER_HOME has workers (docs/production.md): logs are read and tables derived side by
    side, one run at a time asks the API. The end is that of one run. Needs a daemon, such as that of
    `sms-delivery ui`. Ctrl-C ends the waiting alone.
    """
    with loaded_settings() as settings:
        from assets.cli.backfill import backfill as run_parts  # noqa: PLC0415 - Dagster takes a second to import

        run_parts(settings, first=first.date(), last=last.date(), days_per_run=days_per_run, workspace=workspace)


@main.command()
@click.option("--messages", default=8000, type=click.IntRange(1), help="Messages to send.")
@click.option("--days", default=42, type=click.IntRange(1, 60), help="Days they are spread over.")
@click.option(
    "--dir",
    "folder",
    default=Path("data/demo"),
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for logs, lake and results; its lake and logs are replaced.",
)
def demo(messages: int, days: int, folder: Path) -> None:
    """Try the whole chain on simulated messages.

    Needs no credentials: it starts a simulated API, writes sent logs, runs the chain and prints delivery rates.
    """
    from assets.cli.demo import run_demo  # noqa: PLC0415

    with exit_status():
        run_demo(messages=messages, days=days, folder=folder)


@main.command()
@click.option("--host", default="127.0.0.1", help="Address of the UI.")
@click.option("--port", default=3000, type=click.IntRange(1, 65535), help="Port of the UI.")
def ui(host: str, port: int) -> None:
    """Open the Dagster UI on this folder's settings, or on the demo.

    Without a .env, and without variables that name an account, logs or a lake, it opens the demo in data/demo.
    Runs of the command line are in its history, too.
    """
    from assets.cli.ui import open_ui  # noqa: PLC0415 - Dagster takes a second to import

    sys.exit(open_ui(host, port))


class _WithFaults(click.Command):
    """A command whose help ends with the list of faults; importing it earlier would slow down other commands."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of faults."""
        from pipeline.api.simulator.faults import describe_faults  # noqa: PLC0415

        self.epilog = "\b\nFaults:\n" + "\n".join(f"  {name}: {meaning}" for name, meaning in describe_faults())
        super().format_epilog(ctx, formatter)


@main.command(cls=_WithFaults)
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8765, type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
@click.option("--api-key", default="demo-key", help="The accepted Api-Key.")
@click.option("--api-secret", default="demo-secret", help="Secret of the signatures.")
@click.option("--app", "apps", multiple=True, help="A known app; repeat for several (default: any).")
@click.option("--unpriced-app", "unpriced_apps", multiple=True, help="App that gets -19; repeat for several.")
@click.option("--allow-ip", "allowed_ips", multiple=True, help="Allowed address, others get -2 (default: any).")
@click.option("--window", "window_seconds", default=300, help="Seconds by which Timestamp may be off, else -16.")
@click.option("--latency-ms", default=0.0, help="Milliseconds added to each response.")
@click.option("--max-requests-per-second", default=0.0, help="Limit above which requests get -15; 0 for none.")
@click.option("--price-details", is_flag=True, help="Add a pricedetail object to each row.")
@click.option(
    "--sent-log",
    "sent_logs",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Log of the demo (JSON lines) whose messages getSentRcd has on record; repeat for several.",
)
@click.option("--record-delay-seconds", default=0.0, help="Seconds after its final state that a message is on record.")
@click.option("--push-to", metavar="URL", help="Push reports there: of --sent-log, and of messages asked for.")
@click.option(
    "--push-fault",
    "push_specs",
    multiple=True,
    metavar="NAME=RATE",
    help="What goes wrong with pushes: lost, doubled, late, false, forged; repeat for several.",
)
@click.option("--fault", "faults", multiple=True, metavar="NAME=RATE", help="Switch on a fault; repeat for several.")
@click.option("--seed", default=0, help="Seed of the faults.")
def simulator(
    *,
    host: str,
    port: int,
    faults: tuple[str, ...],
    seed: int,
    sent_logs: tuple[Path, ...],
    push_to: str | None,
    push_specs: tuple[str, ...],
    **options: Any,
) -> None:
    """Serve a simulated API on this machine.

    To try things out and to rehearse an outage.
    The state of a message follows from its id and the time alone. Ids are 19 digits: yymmddHHMMSS (UTC) of
    sending and 7 more. Set SMS_API_BASE_URL to the printed address.
    """
    from pipeline.api.simulator.faults import Faults  # noqa: PLC0415
    from pipeline.api.simulator.pushing import PushOptions, push_faults  # noqa: PLC0415
    from pipeline.api.simulator.sample_logs import ids_by_app  # noqa: PLC0415
    from pipeline.api.simulator.server import SimulatorOptions, serve  # noqa: PLC0415

    with exit_status():
        try:
            switched_on = Faults.from_specs(faults, seed=seed)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--fault") from error
        try:
            options["sent"] = ids_by_app(sent_logs)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--sent-log") from error
        try:
            options["push"] = PushOptions(push_to, push_faults(push_specs), seed) if push_to else None
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--push-fault") from error
        for name in ("apps", "unpriced_apps", "allowed_ips"):
            options[name] = frozenset(options[name])
        chosen = SimulatorOptions(**options, faults=switched_on)
        try:
            serve(chosen, host=host, port=port, announce=lambda url: say(f"SMS_API_BASE_URL={url}"))
        except OSError as error:
            say(f"sms-delivery: --host {host} --port {port}: {error.strerror or error}", err=True)
            sys.exit(WRONG)


@main.command()
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8766, type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
@click.option("--max-requests-per-second", default=3000.0, type=click.FloatRange(0), help="More get 429; 0 for none.")
def listen(host: str, port: int, max_requests_per_second: float) -> None:
    """Take the reports that the platform pushes.

    Serves POST /reports/TOKEN, TOKEN being SMS_PUSH_TOKEN, and GET /health. A report is answered with 200 once it is
    on the disk, in the folder SMS_PUSHED_REPORTS; the next run reads it. Put it behind a proxy with TLS.
    """
    with loaded_settings() as settings:
        from assets.cli.listen import take_pushes  # noqa: PLC0415

        take_pushes(settings, host=host, port=port, max_requests_per_second=max_requests_per_second)


@main.command()
@click.option("--lake-at", type=click.Path(path_type=Path), help="Where readers see the lake (default: SMS_LAKE_AT).")
def publish(lake_at: Path | None) -> None:
    """Publish the DuckDB file and the page again.

    From the lake, without calling the API. --lake-at is for readers that mount the lake under another path, such as a
    container; the next run publishes by SMS_LAKE_AT again.
    """
    with loaded_settings() as settings:
        from assets.cli.operations import publish_again  # noqa: PLC0415

        publish_again(settings, lake_at=lake_at)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--from", "first", type=DATE, help="First day of sending (default: the first one).")
@click.option("--to", "last", type=DATE, help="Last day of sending, included (default: the last one).")
@click.option("--table", help="Table to write as .csv, .parquet or .xlsx (default: messages).")
@click.option("--view", help="View to write instead of a table.")
@click.option("--where", help="Condition for its rows, such as \"country = 'NG'\".")
def export(file: Path, first: datetime | None, last: datetime | None, **rows: str | None) -> None:
    """Write published data to a file, to take away.

    The ending of FILE says how. A .duckdb file holds all tables, views and comments, and opens without the lake. The
    others hold one table or view: .parquet, .csv, or .xlsx for Excel, the last two with times local to SMS_TIMEZONE
    and without formulas. Days are those of SMS_TIMEZONE; the data is that of the last publication, phone numbers as
    SMS_NUMBERS says. FILE must not exist yet; its folder must.
    """
    with loaded_settings() as settings:
        from assets.cli.operations import export_days, export_rows  # noqa: PLC0415
        from pipeline.publish.extract import ENDINGS, Extract  # noqa: PLC0415

        table, view, where = (rows[name] for name in ("table", "view", "where"))
        path, days = file.absolute(), {"first": _day(first), "last": _day(last)}
        if path.suffix not in (".duckdb", *ENDINGS):
            raise SettingsError(f"FILE: must end with .duckdb or {' or '.join(ENDINGS)}")
        if table and view:
            raise SettingsError("--table, --view: name one of them")
        if path.suffix != ".duckdb":
            export_rows(
                settings, path, Extract("view" if view else "table", view or table or "messages", where), **days
            )
        elif table or view or where:
            raise SettingsError(f"--table, --view, --where: a .duckdb file holds all; take {' or '.join(ENDINGS)}")
        else:
            export_days(settings, path, **days)


@main.command()
@click.argument("file", default=Path("data/analytics.duckdb"), type=click.Path(path_type=Path, dir_okay=False))
@click.option("--with-data", is_flag=True, help="Put the data inside, so that FILE opens without the bucket.")
@click.option("--from", "first", type=DATE, help="First day of sending inside (default: the first one).")
@click.option("--to", "last", type=DATE, help="Last day of sending inside (default: the last one).")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="Bring the page to this file, too.")
def fetch(file: Path, with_data: bool, first: datetime | None, last: datetime | None, page: Path | None) -> None:
    """Bring the newest published file from its bucket.

    Needs SMS_DUCKDB=s3://... and the right to read. FILE is replaced whole; its views read the lake's objects, so
    that whoever opens it needs httpfs and a secret. With --with-data, which needs SMS_LAKE too, it needs neither.
    """
    with loaded_settings() as settings:
        from assets.cli.operations import fetch_published  # noqa: PLC0415
        from pipeline.publish.export import Days  # noqa: PLC0415

        if (first or last) and not with_data:
            raise SettingsError("--from, --to: choose the days of --with-data, which is not given")
        days = Days(_day(first), _day(last)) if with_data else None
        fetch_published(settings, file.absolute(), days=days, page=page.absolute() if page else None)


@main.command()
@click.option("--from", "first", type=DATE, help="First day of sending (default: the lake's first).")
@click.option("--to", "last", type=DATE, help="Last day of sending, included (default: the lake's last).")
def rebuild(first: datetime | None, last: datetime | None) -> None:
    """Derive messages and rates again, and publish.

    From what the lake holds, without calling the API.
    """
    with loaded_settings() as settings:
        from assets.cli.operations import rebuild as rebuild_days  # noqa: PLC0415

        rebuild_days(settings, first=_day(first), last=_day(last))


@main.command()
def doctor() -> None:
    """Check settings, logs, lake, clock and credentials.

    Makes one real call for each app, and says what to fix.
    Exit status: 0 nothing to fix, 1 something to fix, 2 a setting to fix.
    """
    with loaded_settings() as settings:
        from pipeline.maintain.doctor import examine, exit_status, finding_line  # noqa: PLC0415

        findings = examine(settings, now=datetime.now(UTC))
        for finding in findings:
            say(finding_line(finding))
        sys.exit(exit_status(findings))


@main.command()
def status() -> None:
    """Show what is stored, outstanding, due and published."""
    with loaded_settings() as settings:
        from assets.cli.operations import print_status  # noqa: PLC0415

        print_status(settings)


@main.command()
@click.argument("text", metavar="ID")
@click.option("--json", "is_json", is_flag=True, help="Print a JSON array, times in UTC.")
def message(text: str, is_json: bool) -> None:
    """Show what is known of one message.

    When it was sent, its state, each answer with its call, file and line of the log. ID is its msg_id, its order id,
    or its phone number with calling code, as typed or as stored; - reads it from standard input. Several messages are
    listed, the newest first. Status 1 if there is none.
    """
    with loaded_settings() as settings:
        from assets.cli.operations import show_message  # noqa: PLC0415

        show_message(settings, sys.stdin.readline() if text == "-" else text, is_json=is_json)


@main.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
def repair(dry_run: bool) -> None:
    """Put a damaged lake right as far as its files allow.

    For a lake that a command calls damaged, after a power cut or a failing disk. Nothing else may be at work in it.
    Damaged files are moved to its folder _damaged; each line says what was done, and what was lost. A sound lake is
    not changed.
    """
    with loaded_settings() as settings:
        from assets.cli.operations import repair_lake  # noqa: PLC0415

        repair_lake(settings, dry_run=dry_run)


@main.command()
@click.argument("number")
def forget(number: str) -> None:
    """Erase a phone number from every table, and publish.

    Old files are erased too.
    Messages stay and are counted as before; later answers for them are stored without a number. With
    SMS_NUMBERS=mask all numbers that mask to the same text are erased. The sent logs are not touched. NUMBER
    may be - to read it from standard input, which keeps it out of the shell's history.
    """
    with loaded_settings() as settings:
        from assets.cli.operations import forget_number  # noqa: PLC0415

        forget_number(settings, sys.stdin.readline() if number == "-" else number)


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None
