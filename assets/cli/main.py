"""The command line `sms-delivery`: each command reads its arguments, calls one use case, and says what came of it.

Exit status: 0 done, 1 the run failed, 2 usage or settings are wrong.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import click

from assets.cli.signals import FAILED, STOPPED, stopped_by_signals
from pipeline import __version__
from pipeline.model.errors import SettingsError, SmsDeliveryError

DATE = click.DateTime(formats=["%Y-%m-%d"])
WRONG = 2


@contextmanager
def said_plainly() -> Iterator[None]:
    """Turn signals and the project's errors into one line and an exit status; settings are 2, the rest is 1."""
    with warnings.catch_warnings(), stopped_by_signals() as stop:
        warnings.showwarning = _show_warning
        try:
            yield
        except (KeyboardInterrupt, Exception) as error:
            if isinstance(error, KeyboardInterrupt) or stop.was_asked:
                click.echo(STOPPED, err=True)
                sys.exit(FAILED)
            if not isinstance(error, SmsDeliveryError):
                raise
            click.echo(f"sms-delivery: {error}", err=True)
            sys.exit(WRONG if isinstance(error, SettingsError) else FAILED)


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    if category is UserWarning:
        click.echo(f"sms-delivery: warning: {message}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="sms-delivery")
def main() -> None:
    """Follow every SMS that was sent to its final state, and publish delivery rates in DuckDB.

    Settings are environment variables SMS_… or lines of a file .env in this folder or above it; the README
    lists them. Exit status: 0 done, 1 the run failed, 2 usage or settings are wrong.
    """
    # What Python does by itself for a logger without a handler; a run in Dagster adds one of its own.
    if logging.lastResort is not None:
        logging.getLogger("pipeline").addHandler(logging.lastResort)


@main.command()
@click.option("--from", "first", type=DATE, help="First day of sending (default: see above).")
@click.option("--to", "last", type=DATE, help="Last day of sending, included (default: today).")
@click.option("--force", is_flag=True, help="Ask for every message that is not final, due or not.")
def run(first: datetime | None, last: datetime | None, force: bool) -> None:
    """Read the logs, ask for what is due, derive rates, publish.

    Without --from and --to: today, the three days before, and every day that still has a message due or a
    verdict that time has changed. Days are those of SMS_TIMEZONE. Needs SMS_SENT_LOGS, SMS_API_KEY and
    SMS_API_SECRET.
    """
    from pipeline.model.accounts import check_inputs  # noqa: PLC0415
    from pipeline.model.settings import load_settings  # noqa: PLC0415

    with said_plainly():
        settings = load_settings()
        check_inputs(settings)
        from assets.cli.run import refresh  # noqa: PLC0415 - Dagster takes a second to import

        refresh(settings, first=_day(first), last=_day(last), force=force)


@main.command()
@click.option("--messages", default=5000, show_default=True, type=click.IntRange(1), help="Messages to send.")
@click.option("--days", default=3, show_default=True, type=click.IntRange(1, 60), help="Days they are spread over.")
@click.option(
    "--dir",
    "folder",
    default=Path("data/demo"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for logs, lake and results; its lake and logs are made anew.",
)
def demo(messages: int, days: int, folder: Path) -> None:
    """Try everything without credentials: a simulated API, sent logs, the whole chain, delivery rates."""
    from assets.cli.demo import run_demo  # noqa: PLC0415

    with said_plainly():
        run_demo(messages=messages, days=days, folder=folder)


def _fault_help() -> str:
    """List the faults for `simulator --help`; read when it is asked for, as it needs the simulator."""
    from pipeline.api.simulator.faults import describe_faults  # noqa: PLC0415

    return "\b\nFaults:\n" + "\n".join(f"  {name}: {meaning}" for name, meaning in describe_faults())


class _WithFaults(click.Command):
    """A command whose help ends with the list of faults."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of faults."""
        self.epilog = _fault_help()
        super().format_epilog(ctx, formatter)


@main.command(cls=_WithFaults)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one."
)
@click.option("--api-key", default="demo-key", show_default=True, help="Api-Key that is accepted.")
@click.option("--api-secret", default="demo-secret", show_default=True, help="Secret that signatures are made with.")
@click.option("--app", "apps", multiple=True, help="App that is known; repeat for several (default: any).")
@click.option("--unpriced-app", "unpriced", multiple=True, help="App that is answered -19; repeat for several.")
@click.option("--allow-ip", "ips", multiple=True, help="Address that may ask, others get -2 (default: any).")
@click.option("--window", default=300, show_default=True, help="Seconds by which Timestamp may be off, else -16.")
@click.option("--latency-ms", default=0.0, show_default=True, help="Time added to each answer.")
@click.option("--max-requests-per-second", default=0.0, show_default=True, help="Above it -15; 0 for no limit.")
@click.option("--price-details", is_flag=True, help="Add a pricedetail object to each row.")
@click.option("--fault", "faults", multiple=True, metavar="NAME=RATE", help="Switch on a fault; repeat for several.")
@click.option("--seed", default=0, show_default=True, help="Seed of the faults.")
def simulator(  # noqa: PLR0917 - click passes options by name
    host: str,
    port: int,
    api_key: str,
    api_secret: str,
    apps: tuple[str, ...],
    unpriced: tuple[str, ...],
    ips: tuple[str, ...],
    window: int,
    latency_ms: float,
    max_requests_per_second: float,
    price_details: bool,
    faults: tuple[str, ...],
    seed: int,
) -> None:
    """Serve the API on this machine, to try things out and to rehearse an outage.

    What becomes of a message follows from its id and the time alone. Ids are 19 digits: yymmddHHMMSS (UTC) of
    sending and 7 more. Point SMS_API_BASE_URL at the address that is printed.
    """
    from pipeline.api.simulator.faults import Faults  # noqa: PLC0415
    from pipeline.api.simulator.server import SimulatorOptions, serve  # noqa: PLC0415

    with said_plainly():
        try:
            switched_on = Faults.from_specs(faults, seed=seed)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--fault") from error
        options = SimulatorOptions(
            api_key=api_key,
            api_secret=api_secret,
            apps=frozenset(apps),
            unpriced_apps=frozenset(unpriced),
            allowed_ips=frozenset(ips),
            window_seconds=window,
            latency_ms=latency_ms,
            max_requests_per_second=max_requests_per_second,
            price_details=price_details,
            faults=switched_on,
        )
        try:
            serve(options, host=host, port=port, announce=lambda url: click.echo(f"SMS_API_BASE_URL={url}"))
        except OSError as error:
            click.echo(f"sms-delivery: --host {host} --port {port}: {error.strerror or error}", err=True)
            sys.exit(WRONG)


@main.command()
def publish() -> None:
    """Publish the DuckDB file and the page again from the lake, without a call."""
    from pipeline.model.settings import load_settings  # noqa: PLC0415

    with said_plainly():
        settings = load_settings()
        from assets.cli.run import publish_again  # noqa: PLC0415

        publish_again(settings)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--from", "first", type=DATE, help="First day of sending (default: the first there is).")
@click.option("--to", "last", type=DATE, help="Last day of sending, included (default: the last there is).")
def export(file: Path, first: datetime | None, last: datetime | None) -> None:
    """Write a DuckDB file with the published data inside, to take away.

    It holds all tables, views and comments, and opens without the lake. Days are those of SMS_TIMEZONE; the data
    is as it was last published, phone numbers as SMS_NUMBERS says. FILE must not be there yet; its folder must.
    """
    from pipeline.model.settings import load_settings  # noqa: PLC0415

    with said_plainly():
        settings = load_settings()
        from assets.cli.run import export_days  # noqa: PLC0415

        export_days(settings, file.absolute(), first=_day(first), last=_day(last))


@main.command()
@click.option("--from", "first", type=DATE, help="First day of sending (default: the lake's first).")
@click.option("--to", "last", type=DATE, help="Last day of sending, included (default: the lake's last).")
def rebuild(first: datetime | None, last: datetime | None) -> None:
    """Derive messages and rates again from the logs and answers in the lake, without a call, and publish."""
    from pipeline.model.settings import load_settings  # noqa: PLC0415

    with said_plainly():
        settings = load_settings()
        from assets.cli.run import rebuild as rebuild_days  # noqa: PLC0415

        rebuild_days(settings, first=_day(first), last=_day(last))


@main.command()
def doctor() -> None:
    """Check settings, logs, lake, clock and credentials, with one real call; say what to mend.

    Exit status: 0 all is well, 1 something is to be mended, 2 it is a setting.
    """
    from pipeline.model.settings import load_settings  # noqa: PLC0415

    with said_plainly():
        settings = load_settings()
        from pipeline.maintain.doctor import examine, shown, worst_status  # noqa: PLC0415

        findings = examine(settings, now=datetime.now(UTC))
        for finding in findings:
            click.echo(shown(finding))
        sys.exit(worst_status(findings))


@main.command()
def status() -> None:
    """Say where things stand: partitions, what is outstanding and since when, what is due, the last publication."""
    from pipeline.model.settings import load_settings  # noqa: PLC0415

    with said_plainly():
        settings = load_settings()
        from assets.cli.run import say_status  # noqa: PLC0415

        say_status(settings)


@main.command()
@click.argument("number")
def forget(number: str) -> None:
    """Erase a phone number from every table, old files included, and publish.

    Messages stay and are counted as before; answers that come later for them are stored without a number. With
    SMS_NUMBERS=mask every number masked to the same text goes, as they can't be told apart. The sent logs
    themselves are not touched. NUMBER may be - to read it from standard input, so that no shell remembers it.
    """
    from pipeline.model.settings import load_settings  # noqa: PLC0415

    with said_plainly():
        settings = load_settings()
        from assets.cli.run import forget_number  # noqa: PLC0415

        forget_number(settings, sys.stdin.readline() if number == "-" else number)


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None
