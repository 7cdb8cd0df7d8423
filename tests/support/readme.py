"""The generated parts of README and docs. `make docs` writes them; a test fails if one is stale.

A part stands between `<!-- name -->` and `<!-- /name -->` in its page.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from textwrap import fill
from typing import Final

import duckdb

from assets.checks import build_checks
from assets.project import Project
from pipeline.api.client import Clock
from pipeline.api.codes import ROW_REASONS as API_REASONS
from pipeline.api.simulator.server import SimulatorOptions, running
from pipeline.api.simulator.story import LABEL, incidents, write_story
from pipeline.collect.fields import HOLDERS, SPELLINGS
from pipeline.collect.rejects import REASONS
from pipeline.collect.sent_messages import collect
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.follow.workers import follow
from pipeline.lake.lake import Lake
from pipeline.maintain.doctor import finding_line, records_of_logs
from pipeline.model.accounts import load_accounts
from pipeline.model.settings import given_settings
from pipeline.publish.database import publish
from tests.support.dictionary import dictionary

ROOT: Final = Path(__file__).parents[2]
README: Final = ROOT / "README.md"
DOCS: Final = ROOT / "docs"
NOW: Final = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
DAYS: Final = [NOW.date() - timedelta(days=step) for step in reversed(range(10))]
UNKNOWN_HEADER: Final = "Message ID,Sent At,App ID,Phone Number,Sendr,Campaign,Body\n"
UNKNOWN_ROW: Final = (
    "261118100000{number:06},2026-11-18T10:{minute:02}:00Z,4luaKsL2,9185632{number:05},ACME,autumn,Hello\n"
)
_DAYS_QUERY: Final = """\
SELECT sent_date, sent, delivered, failed, outstanding, round(delivery_rate, 4) AS rate, is_mature
FROM delivery_by_day
ORDER BY sent_date DESC
LIMIT 4;"""
_COUNTRIES_QUERY: Final = """\
SELECT country, sent, failed, round(failed / sent, 4) AS failed_share
FROM delivery_by_country
WHERE days IS NULL AND sent >= 200
ORDER BY failed_share DESC
LIMIT 3;"""
_BACKLOG_QUERY: Final = """\
SELECT age, delivery_status, messages, oldest_sent_at
FROM backlog;"""
SHAPES: Final = ROOT / "tests/integration/collect/shapes"
_SHOWN_WIDTH: Final = 150
_SHOWN_LINES: Final = {
    "csv_titles.csv": 5,
    "json_pretty_array.json": 8,
    "csv_quote_left_open.csv": 4,
    "csv_excel_separator_line.csv": 3,
}
SHOWN_SHAPES: Final = (
    ("A vendor's export", "csv", "csv_vendor_export.csv"),
    ("Excel: `sep=;`, guards in front of digits", "csv", "csv_excel_separator_line.csv"),
    ("Titles above the header, looked for in the first 20 lines", "csv", "csv_titles.csv"),
    ("Rows without their last cells", "csv", "csv_short_rows.csv"),
    ("A quote that is left open: line 3 is rejected, the others are read", "csv", "csv_quote_left_open.csv"),
    ("Tabs, as `.tsv` or in UTF-16 from Excel", "csv", "tabs.tsv"),
    ("Names of its own, with `SMS_SENT_LOG_FIELDS` and `SMS_SENT_LOG_TIME_FORMAT`", "csv", "csv_own_names.csv"),
    ("CloudWatch Logs Insights, as CSV", "csv", "csv_cloudwatch_insights.csv"),
    ("CloudWatch Logs Insights, as JSON", "json", "json_cloudwatch.jsonl"),
    ("An array, on one line or a line for each object", "json", "json_array_of_one_line.json"),
    ("Pretty-printed objects, in an array or one behind the other", "json", "json_pretty_array.json"),
    ("Objects without a line break between them", "json", "json_one_behind_the_other.jsonl"),
    ("docker; a text that it has cut is put together again", "json", "json_docker.jsonl"),
    ("CRI, as Kubernetes writes it, with texts that are cut", "text", "json_cri.jsonl"),
    ("Lines of loggers, of syslog and of `kubectl logs --timestamps`", "text", "json_behind_text.log"),
    ("journald", "json", "json_journald.jsonl"),
    ("Elasticsearch", "json", "json_elasticsearch.jsonl"),
    ("fluentd and Google Cloud Logging", "json", "json_fluentd.jsonl"),
    ("Google Cloud Logging and others, as CSV", "csv", "csv_cloud_logging.csv"),
    ("Serilog", "json", "json_serilog.jsonl"),
    ("Monolog and winston", "json", "json_context.jsonl"),
    ("Loki", "json", "json_loki.jsonl"),
    ("Splunk", "json", "json_splunk.json"),
    ("Graylog (GELF)", "json", "json_gelf.jsonl"),
    ("EventBridge and SNS", "json", "json_queues.jsonl"),
    ("Debezium", "json", "json_debezium.jsonl"),
    ("DynamoDB", "json", "json_dynamodb.json"),
    ("MongoDB", "json", "json_mongo.jsonl"),
    ("BigQuery", "json", "json_bigquery.json"),
    ('MySQL and Spark, with `\\"` for a quote', "csv", "csv_backslash_quotes.csv"),
)
"""Title, language and file of the tests."""
QUERIES: Final = {
    "How did each day go?": _DAYS_QUERY,
    "In which of the larger countries do messages fail most often?": _COUNTRIES_QUERY,
    "What is outstanding, and since when?": _BACKLOG_QUERY,
}


@dataclass(frozen=True)
class Part:
    """A generated part: its page, its name between the marks, and the function that makes it."""

    page: Path
    name: str
    make: Callable[[], str]

    def written(self) -> str:
        """Return the text that the page has now."""
        text = self.page.read_text("utf-8")
        found = re.search(rf"<!-- {self.name} -->\n(.*?)<!-- /{self.name} -->", text, re.DOTALL)
        assert found, f"{self.page.name} has no part {self.name}"
        return found[1]

    def write(self) -> None:
        """Write the text that the code makes into the page."""
        text, start = self.page.read_text("utf-8"), f"<!-- {self.name} -->\n"
        self.page.write_text(text.replace(start + self.written(), start + self.make()), "utf-8")


def parts() -> Mapping[str, Part]:
    """Return the generated parts by name."""
    listed = (
        Part(README, "queries", queries),
        Part(DOCS / "tables.md", "dictionary", dictionary),
        Part(DOCS / "sent-logs.md", "spellings", spellings),
        Part(DOCS / "sent-logs.md", "reasons", reasons),
        Part(DOCS / "sent-logs.md", "doctor", doctor),
        Part(DOCS / "sent-logs.md", "shapes", shapes),
        Part(DOCS / "sent-logs.md", "holders", holders),
        Part(DOCS / "dagster.md", "checks", checks),
    )
    return {part.name: part for part in listed}


def spellings() -> str:
    """Return the table of spellings of log fields."""
    rows = (f"| `{field}` | {', '.join(f'`{name}`' for name in names)} |" for field, names in SPELLINGS.items())
    return "| field | spellings |\n|---|---|\n" + "\n".join(rows) + "\n"


def reasons() -> str:
    """Return the table of reasons of rejects."""
    rows = (
        f"| `{source}` | `{code}` | {meaning} |"
        for source, codes in (("sent_log", REASONS), ("api", API_REASONS))
        for code, meaning in codes.items()
    )
    return "| source | code | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def shapes() -> str:
    """Return two lines of each shape of logs that the tests read."""
    return "".join(f"{title}:\n\n```{kind}\n{_beginning(name)}```\n\n" for title, kind, name in SHOWN_SHAPES)


def holders() -> str:
    """Return the fields that may hold a record."""
    return fill(", ".join(f"`{name}`" for name in sorted(HOLDERS)), 120) + "\n"


def _beginning(name: str) -> str:
    """Return the first lines of a file of the tests, shortened."""
    lines = (SHAPES / name).read_text("utf-8").splitlines()
    shown = [line if len(line) <= _SHOWN_WIDTH else line[:_SHOWN_WIDTH] + "…" for line in lines]
    return "".join(line + "\n" for line in shown[: _SHOWN_LINES.get(name, 2)])


def checks() -> str:
    """Return the table of asset checks: what each says, and what to do when it is red."""
    specs = [spec for step in build_checks(Project()) for spec in step.check_specs]
    rows = (f"| `{spec.name}` | `{spec.asset_key.to_user_string()}` | {spec.description} |" for spec in specs)
    return "| check | asset | what it says, and what to do |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def doctor() -> str:
    """Return what `doctor` says of a log with three columns that it does not know."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [UNKNOWN_ROW.format(number=number, minute=number % 60) for number in range(1200)]
        (Path(folder) / "sent-2026-11-18.csv").write_text(UNKNOWN_HEADER + "".join(rows), "utf-8")
        settings = given_settings(Path(folder), sent_logs="sent-{date}.csv")
        lines = "\n".join(map(finding_line, records_of_logs(settings, NOW)))
    return f"```csv\n{UNKNOWN_HEADER}{rows[0]}```\n\n```\n{lines}\n```\n"


def queries() -> str:
    """Return the example queries with their results over ten days of the demo at a fixed time."""
    with (
        tempfile.TemporaryDirectory() as folder,
        duckdb.connect(_demo_file(Path(folder)), read_only=True) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        answered = [
            f"**{question}**\n\n```sql\n{query}\n```\n```\n{_result(connection, query)}\n```\n"
            for question, query in QUERIES.items()
        ]
    return "\n".join(answered)


def _result(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    result = connection.execute(query)
    heads = [column[0] for column in result.description or []]
    lines = [heads, *([str(cell) for cell in row] for row in result.fetchall())]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _demo_file(folder: Path) -> Path:
    return published_world(folder, messages=3500, days=DAYS, now=NOW)


def published_world(folder: Path, *, messages: int, days: Sequence[date], now: datetime) -> Path:
    """Publish the demo's messages as of a fixed time; return the DuckDB file."""
    write_story(folder, messages=messages, days=days, now=now)
    options = SimulatorOptions(api_key="key", api_secret="secret", price_details=True, incidents=incidents(now.date()))
    with running(options, clock=lambda: now, record=False) as simulator:
        settings = given_settings(
            folder,
            api_base_url=simulator.base_url,
            api_key="key",
            api_secret="secret",
            sent_logs="sent-{date}.jsonl",
            sent_log_labels=LABEL,
            max_requests_per_second=0,
        )
        lake = Lake.open(settings.lake, mode=settings.file_mode, recorded={})
        collect(days, lake=lake, settings=settings, now=now)
        accounts, clock = load_accounts(settings), Clock(now=lambda: now)
        follow(days, lake=lake, accounts=accounts, settings=settings, now=now, clock=clock)
    derive_messages(days, lake=lake, settings=settings, now=now)
    derive_rates(days, lake=lake, settings=settings, now=now)
    publish(lake=lake, settings=settings, now=now)
    return settings.duckdb


def main() -> None:
    """Write all generated parts."""
    for part in parts().values():
        part.write()


if __name__ == "__main__":
    main()
