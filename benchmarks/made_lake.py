"""Lakes made by DuckDB, for benchmarks: what logs and answers would have left there, without reading or asking.

A closed day has an answer for each message, and every state is final; in an open one 5 % of the messages are still
being sent, and were asked for a moment ago, so that nothing is due. States and rates are the project's own work.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import duckdb

from pipeline.derive.networks import show_networks
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import DataFile, Lake
from pipeline.lake.queries import Scalar, connect, query, show_files, write_partition
from pipeline.lake.snapshots import fingerprint_of, inputs_key
from pipeline.model.settings import Settings, given_settings
from pipeline.model.tables import API_CALLS, DELIVERY_REPORTS, MESSAGES, PUSHED_REPORTS, SENT_MESSAGES, Table
from pipeline.publish.database import publish

OPEN_DAYS = 4
"""Today and the three days before: what a run covers by default."""
_VERDICT_NEAR = timedelta(hours=69)
"""Age beyond which no message is left open: within three hours silence would make it unknown."""
_SENT = """
    SELECT
      'app' || i % 3 AS app_id,
      (2611230000000000000 + $first + i)::VARCHAR AS msg_id,
      '49151' || (i * 7919) % 100000000 AS number,
      ['DE', 'FR', 'IN', 'BR', 'US', 'GB', 'NG', 'ID', 'MX', 'PL'][(1 + hash(i) % 10)::BIGINT] AS country,
      'sender' || hash(i + 1) % 8 AS sender_id,
      NULL AS order_id,
      NULL AS labels,
      $midnight::TIMESTAMPTZ + to_milliseconds((i * $span_ms // $rows)::BIGINT) AS sent_at,
      'sent.jsonl' AS file,
      i + 1 AS line
    FROM range($rows) AS made (i)"""
_REPORTS = """
    SELECT
      app_id,
      msg_id,
      number,
      country,
      CASE
        WHEN hash(line) % 20 = 0 AND sent_at > $open_since THEN 'sending'
        WHEN hash(line) % 20 = 1 THEN 'failed'
        ELSE 'delivered'
      END AS status,
      CASE
        WHEN status <> 'sending' THEN sent_at + to_milliseconds((1000 + hash(line) % 60000)::BIGINT)
      END AS receive_time,
      CASE WHEN status = 'sending' THEN $made_at ELSE sent_at + INTERVAL 1 MINUTE END AS observed_at,
      md5(sent_date || app_id || (line - 1) // 600) AS call_id,
      NULL AS extra
    FROM sent_messages"""
_CALLS = """
    SELECT
      call_id,
      any_value(app_id) AS app_id,
      1 AS days,
      min(observed_at) AS requested_at,
      count(*) AS ids,
      200 AS http_status,
      '0' AS status,
      'success' AS reason,
      count(*) FILTER (WHERE status = 'delivered') AS success,
      count(*) FILTER (WHERE status = 'failed') AS fail,
      count(*) FILTER (WHERE status = 'sending') AS sending,
      0 AS not_found,
      1 AS attempts,
      50 AS elapsed_ms,
      'ok' AS outcome,
      NULL AS error
    FROM delivery_reports
    GROUP BY call_id"""


@dataclass(frozen=True)
class MadeDay:
    """A day of a made-up lake: its midnight and messages, and the instant since which they are left open."""

    day: date
    midnight: datetime
    rows: int
    open_since: datetime


def settings_in(folder: Path) -> Settings:
    """Return settings with everything in one folder, and a platform that nobody may ask: it is not there.

    The zone is one where it is noon, so that today has hours of messages, and does not end before the benchmark does.
    """
    zone = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"  # whose signs are those of no other zone: +5 is west
    return given_settings(
        folder,
        lake="lake",
        duckdb="analytics.duckdb",
        report="report.html",
        sent_logs=("logs/{date}.jsonl",),
        timezone=zone,
        api_base_url="http://127.0.0.1:9",
        api_key="key",
        api_secret="secret",  # noqa: S106 - of nothing
    )


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the variables that give a process these settings."""
    return {
        "SMS_LAKE": str(settings.lake),
        "SMS_DUCKDB": str(settings.duckdb),
        "SMS_REPORT": str(settings.report),
        "SMS_SENT_LOGS": ",".join(settings.sent_logs),
        "SMS_TIMEZONE": settings.timezone.key,
        "SMS_API_BASE_URL": settings.api_base_url,
        "SMS_API_KEY": "key",
        "SMS_API_SECRET": "secret",
    }


def make_lake(settings: Settings, *, days: int, closed_rows: int, open_rows: int) -> Lake:
    """Make a lake of so many days up to today, each with its log, and publish it."""
    lake, now = Lake.open(settings.lake, mode=settings.file_mode, recorded=settings.recorded), datetime.now(UTC)
    dates = [settings.today(now) - timedelta(days=step) for step in range(days)]
    midnights = [datetime.combine(day, time.min, settings.timezone).astimezone(UTC) for day in dates]
    made = [MadeDay(*of, open_rows, now - _VERDICT_NEAR) for of in zip(dates, midnights, strict=True)][:OPEN_DAYS]
    made += [MadeDay(*of, closed_rows, now) for of in zip(dates, midnights, strict=True)][OPEN_DAYS:]
    _make_tables(lake, settings, made, now)
    derive_rates(dates, lake=lake, settings=settings, now=now)
    publish(lake=lake, settings=settings, now=now)
    return lake


def _make_tables(lake: Lake, settings: Settings, days: Sequence[MadeDay], now: datetime) -> None:
    files: dict[str, list[DataFile]] = {table.name: [] for table in (SENT_MESSAGES, DELIVERY_REPORTS, API_CALLS)}
    messages: list[DataFile] = []
    transactions: dict[str, int] = {}
    limit, folders = settings.memory_limit, [lake.folder]
    with lake.scratch() as scratch, connect(memory_limit=limit, scratch=scratch, folders=folders) as connection:
        show_networks(connection)
        show_files(connection, PUSHED_REPORTS, [])
        for number, made in enumerate(days):
            inputs = dict(_files_of(connection, lake, made, first=number * 10_000_000, now=now))
            for table, file in inputs.items():
                files[table.name].append(file)
            silence = settings.unknown_after.total_seconds()
            values: dict[str, Scalar] = {"now": now, "latest": now, "unknown_after_seconds": silence}
            select = query("derive/sql/messages")
            derived = write_partition(connection, lake, MESSAGES, select=select, day=made.day, parameters=values)
            messages += [derived] if derived else []
            read = [inputs[SENT_MESSAGES], inputs[DELIVERY_REPORTS]]
            transactions[inputs_key(MESSAGES, made.day)] = fingerprint_of(read)
            _write_log(settings, made, first=number * 10_000_000)
    for table in (SENT_MESSAGES, DELIVERY_REPORTS, API_CALLS):
        lake.append(table, _aged(files[table.name], now))
    lake.commit(lake.snapshot(MESSAGES), add=_aged(messages, now), transactions=transactions)


def _aged(files: Sequence[DataFile], now: datetime) -> list[DataFile]:
    """Stamp files as added an hour ago: days with new ones are looked at by the next runs, too."""
    return [replace(file, added_ms=int((now - timedelta(hours=1)).timestamp() * 1000)) for file in files]


def _files_of(
    connection: duckdb.DuckDBPyConnection, lake: Lake, made: MadeDay, *, first: int, now: datetime
) -> Iterator[tuple[Table, DataFile]]:
    span = min(timedelta(days=1), (now - made.midnight) / 2)
    values: dict[Table, dict[str, Scalar]] = {
        SENT_MESSAGES: {
            "first": first,
            "rows": made.rows,
            "midnight": made.midnight,
            "span_ms": int(span.total_seconds() * 1000),
        },
        DELIVERY_REPORTS: {"made_at": now, "open_since": made.open_since},
        API_CALLS: {},
    }
    selects = ((SENT_MESSAGES, _SENT), (DELIVERY_REPORTS, _REPORTS), (API_CALLS, _CALLS))
    for table, select in selects:
        file = write_partition(connection, lake, table, select=select, day=made.day, parameters=values[table])
        if file:
            show_files(connection, table, [file])
            yield table, file


def _write_log(settings: Settings, made: MadeDay, *, first: int) -> None:
    """Write a log that names a message which the lake has: it is read by the first run, and by none after it."""
    path = Path(settings.sent_logs[0].format(date=made.day))
    path.parent.mkdir(exist_ok=True)
    record = {"app_id": "app0", "msg_id": str(2611230000000000000 + first), "sent_at": made.midnight.isoformat()}
    path.write_text(json.dumps(record) + "\n", "ascii")
