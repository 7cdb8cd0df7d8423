"""What Dagster loads: names, partitions, docstrings; without settings and with wrong ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from assets.definitions import build_definitions
from assets.project import ASSETS, REFRESH, REFRESHED
from assets.resources import Workspace
from pipeline import __version__
from pipeline.lake.queries import digest
from pipeline.model.settings import Settings, given_settings
from pipeline.model.tables import DELIVERY_RATES_DAILY, LAKE_TABLES, RATE_PUBLICATIONS

ROOT = Path(__file__).parents[3]
CHAIN = ["sent_messages", "delivery_reports", "messages", "delivery_rates", "analytics_db", "delivery_page"]
WHOLE = ["account_balance", "analytics_db", RATE_PUBLICATIONS.name, "delivery_page"]
PARTITIONED = [name for name in ASSETS if name not in WHOLE]


@pytest.fixture
def definitions(tmp_path: Path) -> dg.Definitions:
    return build_definitions(given_settings(tmp_path), Workspace())


def test_the_assets_are_those_of_the_design_in_its_order(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    names = [key.to_user_string() for level in graph.toposorted_asset_keys_by_level for key in level]
    assert [name for name in names if name in CHAIN] == CHAIN
    assert sorted(names) == sorted(ASSETS)


def test_the_ordinary_job_needs_nothing_that_another_job_makes(definitions: dg.Definitions) -> None:
    """Else the UI asks to confirm each time, until the platform's record was read once."""
    graph = definitions.resolve_asset_graph()
    needed = {key.to_user_string() for name in REFRESHED for key in graph.get(dg.AssetKey(name)).parent_keys}
    assert needed <= set(REFRESHED)


def test_partitioned_assets_cover_a_range_in_one_run_and_say_what_they_are(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name in (*PARTITIONED, *WHOLE):
        node = graph.get(dg.AssetKey(name))
        assert node.description
        assert (node.partitions_def is not None) == (name in PARTITIONED)
        if name in PARTITIONED:
            assert node.backfill_policy == dg.BackfillPolicy.single_run()


def test_every_asset_says_who_owns_it_what_it_is_made_of_and_which_code_made_it(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name in (*PARTITIONED, *WHOLE):
        node = graph.get(dg.AssetKey(name))
        assert node.group_name == "sms_delivery"
        assert node.owners
        assert node.kinds
        assert node.code_version
        assert node.metadata["dagster/storage_kind"]
        assert str(node.metadata["dagster/uri"]).startswith("file:///")


def test_column_schemas_are_those_of_the_one_model(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name, table in [*((table.name, table) for table in LAKE_TABLES), ("delivery_rates", DELIVERY_RATES_DAILY)]:
        node = graph.get(dg.AssetKey(name))
        assert node.metadata["dagster/table_name"] == table.name
        schema = node.metadata["dagster/column_schema"]
        assert isinstance(schema, dg.TableSchema)
        assert [(column.name, column.type, column.description) for column in schema.columns] == [
            (column.name, column.type, column.meaning) for column in table.columns
        ]


def test_a_location_that_is_unknown_when_definitions_load_is_left_out() -> None:
    graph = build_definitions(Settings.model_construct(), Workspace()).resolve_asset_graph()
    assert "dagster/uri" not in graph.get(dg.AssetKey("messages")).metadata


def test_the_code_version_of_what_is_derived_follows_its_queries(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    versions = {name: graph.get(dg.AssetKey(name)).code_version for name in ASSETS}
    assert versions["messages"] == digest("derive/sql/messages") != versions["delivery_rates"]
    assert versions["delivery_rates"] != versions["sent_messages"] == __version__


def test_only_what_is_published_has_a_freshness_policy(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    policies = {name: graph.get(dg.AssetKey(name)).freshness_policy for name in (*PARTITIONED, *WHOLE)}
    assert {name for name, policy in policies.items() if policy is not None} == {"analytics_db", "delivery_page"}


def test_the_job_takes_every_asset_and_the_last_check(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def(REFRESH)
    assert {node.name for node in job.nodes} == {*CHAIN, "account_balance", "audit", "run_outcome"}


@pytest.mark.parametrize("settings", [{}, {"SMS_TIMEZONE": "Mars/Olympus", "SMS_BATCH_SIZE": "0"}])
def test_the_workspace_validates_from_any_folder_without_settings_and_with_wrong_ones(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    environment = os.environ  # noqa: TID251 - the command under test inherits it
    plain = {name: value for name, value in environment.items() if not name.startswith(("SMS_", "DAGSTER_"))}
    done = subprocess.run(
        [Path(sys.executable).with_name("dagster"), "definitions", "validate", "-w", str(ROOT / "workspace.yaml")],
        cwd=tmp_path, env=plain | settings, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_without_settings_fails_with_one_line_that_names_what_is_missing(tmp_path: Path) -> None:
    settings = given_settings(tmp_path)
    job = build_definitions(settings, Workspace(lambda: settings)).resolve_job_def(REFRESH)
    tags = {f"dagster/asset_partition_range_{end}": settings.start_date.isoformat() for end in ("start", "end")}
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            instance=instance,
            tags=tags,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data is not None
    assert failure.user_failure_data.description == (
        "SMS_SENT_LOGS: is needed to know which messages were sent, and is not set"
    )
