"""The main job through the installed commands: sent logs in, delivery rates out, against the simulator."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable

from assets.cli.main import main
from pipeline.api.simulator.rules import report_at
from tests.support.places import SECRET, STATES, Place, logged_messages, without_settings, write_logs

MESSAGES = 20_000


def test_20000_messages_over_three_days_are_followed_with_few_calls_and_counted_as_plain_python_counts_them(
    place: Place,
) -> None:
    write_logs(place, MESSAGES)
    place.run("run")

    logged = logged_messages(place.folder / "logs")
    assert len(logged) == MESSAGES
    asked = place.query("SELECT msg_id, observed_at, status, sent_date::VARCHAR FROM delivery_reports")
    assert {row[0] for row in asked} == logged.keys()
    assert len(asked) == MESSAGES

    assert_answers_follow_the_simulators_rules(asked)
    assert_rates_count(place, logged, asked)
    assert_few_calls(place, logged)
    assert_other_readers_agree(place)


def assert_answers_follow_the_simulators_rules(asked: list[tuple[object, ...]]) -> None:
    unstable = 0
    for msg_id, observed_at, status, _ in asked:
        assert isinstance(msg_id, str)
        assert isinstance(observed_at, datetime)
        # The simulator answered a moment before the answer was noted; a message that changed in between is left out.
        around = {
            STATES[report.status if (report := report_at(msg_id, observed_at - timedelta(seconds=s))) else None]
            for s in (0, 1, 2, 4)
        }
        unstable += len(around) > 1
        assert status in around
    assert unstable < MESSAGES // 100


def assert_rates_count(place: Place, logged: dict[str, str], asked: list[tuple[object, ...]]) -> None:
    counts: Counter[tuple[str, str]] = Counter((logged[str(row[0])], str(row[2])) for row in asked)
    rates = place.query(
        "SELECT sent_date::VARCHAR, sent, delivered, failed, sending, not_found "
        "FROM delivery_rollups_daily WHERE dimension = 'all'"
    )
    assert len(rates) == len(set(logged.values()))
    for day, sent, *states in rates:
        assert sent == Counter(logged.values())[str(day)]
        assert states == [counts[str(day), status] for status in ("delivered", "failed", "sending", "not_found")]
    by_day = place.query(
        "SELECT sent_date, sum(sent), sum(delivered) FROM delivery_rates_daily GROUP BY ALL ORDER BY 1"
    )
    from_messages = place.query(
        "SELECT sent_date, count(*), count(*) FILTER (WHERE delivery_status = 'delivered') "
        "FROM messages GROUP BY ALL ORDER BY 1"
    )
    assert by_day == from_messages == place.query("SELECT sent_date, sent, delivered FROM delivery_by_day ORDER BY 1")


def assert_few_calls(place: Place, logged: dict[str, str]) -> None:
    least = ceil(len(logged) / 200)
    assert least <= len(place.simulator.calls) <= least * 1.05
    assert place.query("SELECT count(*), sum(attempts) FROM api_calls") == [(len(place.simulator.calls),) * 2]


def assert_other_readers_agree(place: Place) -> None:
    lake = place.folder / "data" / "lake"
    states = DeltaTable(lake / "messages").to_pyarrow_table(columns=["delivery_status"])["delivery_status"].to_pylist()
    with duckdb.connect() as plain:
        files = f"{lake}/messages/*/*.parquet".replace("'", "''")
        from_files = plain.execute(f"SELECT delivery_status, count(*) FROM '{files}' GROUP BY ALL").fetchall()
    ours = place.query("SELECT delivery_status, count(*) FROM messages GROUP BY ALL")
    assert {str(state): rows for state, rows in ours} == Counter(states) == dict(from_files)


def test_a_second_run_asks_only_for_what_is_not_final_and_changes_no_final_row(place: Place) -> None:
    write_logs(place, 3000)
    place.run("run")
    final = (
        "SELECT * EXCLUDE (poll_count, first_polled_at, last_polled_at) FROM messages WHERE is_final ORDER BY msg_id"
    )
    before = place.query(final)
    final_ids = {str(row[1]) for row in before}
    calls = len(place.simulator.calls)
    place.run("run", "--force")
    asked_again = {msg_id for call in place.simulator.calls[calls:] for msg_id in call.msg_ids}
    assert asked_again
    assert not asked_again & final_ids
    after = {row[1]: row for row in place.query(final)}
    assert [after[row[1]] for row in before] == before


@pytest.mark.slow
def test_run_publish_and_rebuild_restore_a_deleted_published_file(place: Place) -> None:
    write_logs(place, 300)
    place.run("run")
    rows = "SELECT sent_date, sent FROM delivery_by_day ORDER BY 1"
    before = place.query(rows)
    for command in (("run",), ("publish",), ("rebuild",)):
        (place.folder / "data" / "analytics.duckdb").unlink()
        place.run(*command)
        assert place.query(rows) == before


@pytest.mark.slow
def test_a_run_over_some_days_stores_every_record_of_the_files_that_it_reads(place: Place) -> None:
    now = write_logs(place, 600)
    middle = (now.date() - timedelta(days=1)).isoformat()
    place.run("run", "--from", middle, "--to", middle)
    assert place.query("SELECT count(*) FROM sent_messages") == [(600,)]
    assert place.query("SELECT count(*), count(DISTINCT msg_id) FROM messages") == [(600, 600)]
    asked = place.query("SELECT DISTINCT sent_date::VARCHAR FROM delivery_reports")
    assert asked == [(middle,)]
    place.run("run")
    assert place.query("SELECT count(*) FROM messages WHERE poll_count = 0") == [(0,)]


WRONG = [
    ("SMS_API_KEY", ""),
    ("SMS_API_SECRET", ""),
    ("SMS_SENT_LOGS", ""),
    ("SMS_BATCH_SIZE", "201"),
    ("SMS_BATCH_SIZE", "many"),
    ("SMS_TIMEZONE", "Mars/Olympus"),
    ("SMS_START_DATE", "yesterday"),
    ("SMS_LAKE", "s3://bucket/lake"),
    ("SMS_LAKE", "la%ke"),
    ("SMS_API_BASE_URL", "http://example.com/sms"),
    ("SMS_ACCOUNTS", "missing.toml"),
    ("SMS_FILE_MODE", "rw-r-----"),
    ("SMS_NUMBERS", "encrypt"),
    ("SMS_NUMBERS_KEY", ""),
    ("SMS_NUMBERS_KEY", "k"),
    ("SMS_GIVE_UP_AFTER_DAYS", "91"),
    ("SMS_MEMORY_LIMIT", "lots"),
]


@pytest.mark.parametrize(("setting", "value"), WRONG)
def test_a_wrong_setting_is_one_line_that_names_it_and_status_2(
    place: Place, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    more = {"SMS_NUMBERS": "hash"} if setting == "SMS_NUMBERS_KEY" else {}
    monkeypatch.chdir(place.folder)
    done = CliRunner().invoke(main, ["run"], env=place.environment | {setting: value} | more)
    assert done.exit_code == 2
    assert_names_the_setting(done.stderr, setting)
    assert place.simulator.calls == []
    assert not (place.folder / "data").exists()


def test_the_installed_command_reports_a_wrong_setting_in_one_line(place: Place) -> None:
    done = place.run("run", status=2, SMS_BATCH_SIZE="0")
    assert_names_the_setting(done.stderr, "SMS_BATCH_SIZE")


def assert_names_the_setting(errors: str, setting: str) -> None:
    lines = [line for line in errors.splitlines() if "warning" not in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"sms-delivery: {setting}: ")
    assert SECRET not in errors


def test_another_zone_or_treatment_of_numbers_on_an_existing_lake_is_refused(place: Place) -> None:
    write_logs(place, 10)
    place.run("run")
    assert "SMS_TIMEZONE: " in place.run("run", status=2, SMS_TIMEZONE="Asia/Tokyo").stderr
    assert "SMS_NUMBERS: " in place.run("run", status=2, SMS_NUMBERS="drop").stderr


def test_a_run_without_logs_fails_after_asking_for_known_messages(place: Place) -> None:
    write_logs(place, 50)
    place.run("run")
    calls = len(place.simulator.calls)
    was_open = place.query("SELECT count(*) FROM messages WHERE NOT is_final") != [(0,)]
    done = place.run("run", "--force", status=1, SMS_SENT_LOGS="elsewhere/{date}.jsonl")
    assert "SMS_SENT_LOGS" in done.stderr
    assert "Traceback" not in done.stderr
    assert (len(place.simulator.calls) > calls) == was_open


def test_refused_credentials_name_the_settings_to_fix_and_known_messages_are_published(place: Place) -> None:
    write_logs(place, 50)
    done = place.run("run", status=1, SMS_API_SECRET="another-secret-2718281")
    assert "SMS_API_KEY and SMS_API_SECRET" in done.stderr
    assert "another-secret-2718281" not in done.stdout + done.stderr
    assert place.query("SELECT delivery_status, count(*) FROM messages GROUP BY ALL") == [("pending", 50)]


@pytest.mark.slow
def test_the_demo_prints_rates_that_a_query_on_its_file_gives(tmp_path: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("sms-delivery"), "demo", "--messages", "700", "--dir", "try"],
        cwd=tmp_path, env=without_settings(), capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    with duckdb.connect(tmp_path / "try" / "analytics.duckdb", read_only=True) as connection:
        days = connection.execute("SELECT sent_date::VARCHAR, sent, delivered, failed FROM delivery_by_day").fetchall()
        countries = connection.execute(
            "SELECT coalesce(country, '-'), sent, delivered, failed FROM delivery_by_country WHERE days IS NULL"
        ).fetchall()
    assert len(days) > 39
    assert sum(row[1] for row in days) == sum(row[1] for row in countries) == 700
    for label, *counts in (*sorted(days)[-7:], *countries):
        pattern = rf"^{re.escape(label)}( \*)? +" + " +".join(f"{count:,}" for count in counts)
        assert re.search(pattern, done.stdout, re.MULTILINE), (label, counts, done.stdout)
    assert (tmp_path / "try" / "report.html").is_file()


@pytest.mark.slow
def test_a_run_is_recorded_in_the_home_of_dagster_if_that_is_set(place: Place) -> None:
    write_logs(place, 20)
    home = place.folder / "home"
    home.mkdir()
    place.run("run", DAGSTER_HOME=str(home))
    assert list(home.rglob("*.db"))


@pytest.mark.slow
def test_two_first_runs_at_once_lose_and_double_no_message(place: Place) -> None:
    write_logs(place, 2000)
    command = [str(Path(sys.executable).with_name("sms-delivery")), "run"]
    both = [
        subprocess.Popen(
            command, cwd=place.folder, env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for one in both:
        _, errors = one.communicate(timeout=120)
        assert one.returncode == 0, errors.decode()
    assert place.query("SELECT count(*), count(DISTINCT msg_id) FROM sent_messages") == [(2000, 2000)]
    assert place.query("SELECT count(*), count(DISTINCT msg_id), min(poll_count) >= 1 FROM messages") == [
        (2000, 2000, True)
    ]
    assert place.query("SELECT sum(sent) FROM delivery_by_day") == [(2000,)]
