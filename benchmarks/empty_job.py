"""What Dagster costs by itself: a job of the shape of `delivery_refresh` whose steps do nothing, run once.

Imports nothing of the project: the floor of a run in a fresh process.
"""

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

TODAY = datetime.now(UTC).date()
DAYS = [TODAY - timedelta(days=3), TODAY]
CHAIN = {
    "sent_messages": (),
    "delivery_reports": ("sent_messages",),
    "messages": ("sent_messages", "delivery_reports"),
    "delivery_rates": ("messages",),
    "analytics_db": ("messages", "delivery_rates"),
    "delivery_page": ("analytics_db",),
}
CHECKS = {
    "rejected_share": "sent_messages",
    "answers_reconcile": "delivery_reports",
    "nothing_overdue": "delivery_reports",
    "each_message_once": "messages",
    "states_sum_to_sent": "delivery_rates",
    "delivery_rate_held": "delivery_rates",
    "published_file_agrees": "analytics_db",
    "schema_as_documented": "analytics_db",
}
LAST = dg.AssetCheckSpec("every_question_answered", asset="delivery_page")
SPECS = [dg.AssetCheckSpec(name, asset=asset) for name, asset in CHECKS.items()]


def nothing(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Do nothing."""
    return dg.MaterializeResult(metadata={"days": context.has_partition_key_range})


@dg.multi_asset_check(specs=SPECS)
def audit() -> Iterator[dg.AssetCheckResult]:
    """Look at nothing."""
    for spec in SPECS:
        yield dg.AssetCheckResult(check_name=spec.name, asset_key=spec.asset_key, passed=True)


@dg.multi_asset_check(specs=[LAST])
def run_outcome() -> Iterator[dg.AssetCheckResult]:
    """Find nothing."""
    yield dg.AssetCheckResult(check_name=LAST.name, asset_key=LAST.asset_key, passed=True)


def main() -> None:
    """Run the job over four days, forgotten afterwards."""
    days = dg.DailyPartitionsDefinition(start_date="2024-01-01", end_offset=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        assets = [
            dg.asset(
                name=name,
                deps=list(deps),
                partitions_def=None if name in ("analytics_db", "delivery_page") else days,
                backfill_policy=dg.BackfillPolicy.single_run(),
            )(nothing)
            for name, deps in CHAIN.items()
        ]
    job = dg.define_asset_job("empty", selection=dg.AssetSelection.all(), executor_def=dg.in_process_executor)
    definitions = dg.Definitions(assets=assets, asset_checks=[audit, run_outcome], jobs=[job])
    first, last = (day.isoformat() for day in DAYS)
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("empty").execute_in_process(
            instance=instance,
            tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    assert result.success


if __name__ == "__main__":
    main()
