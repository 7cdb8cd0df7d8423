"""Asset checks: each audit of the library shown at an asset, and the last step, which fails an incomplete run.

What belongs here: a check's asset, and what a person does when it is red (`WHAT_TO_DO`). What does not: the query and
its bounds; to add a check, add an audit to `pipeline/maintain/audits/` and an entry here.

No check blocks: a run publishes first, and a red check says what is wrong with the result. ERROR means that figures
are wrong or work stands still; WARN, that somebody should look. The last check fails the run if something is missing.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

import dagster as dg

from assets.events import library_log, materializations_of, readable_failures
from assets.metadata import FAILURES
from assets.partitions import range_of
from assets.resources import Workspace, utc_now
from pipeline.maintain.audits import AUDITS, Finding, opened_scene
from pipeline.model.settings import Settings

RECENT_DAYS: Final = 3
"""Days before today that are audited if a run names no days."""
WHAT_TO_DO: Final = {
    "rejected_share": (
        "sent_messages",
        """Of each day's log records at most 1 % can't be used (over 10 %: error). If more: the `reason` in
        `rejected_records` says what is wrong with which line; fix the log, or its writer, and it is read again.""",
    ),
    "answers_reconcile": (
        "delivery_reports",
        """For each call the platform's own tallies (success, fail, sending, not found) agree with the answers stored.
        Rows with `is_known` came so from the platform (warning): report the call to it. Others were lost or doubled
        here (error): restore the lake's last backup and run the days again.""",
    ),
    "nothing_overdue": (
        "delivery_reports",
        """No message of any day has been due for more than 2 hours (24 hours: error). If one is: look whether the
        schedule is on and its runs succeed; `every_question_answered` says what the platform refuses. Then
        materialize the days.""",
    ),
    "each_message_once": (
        "messages",
        """Each sent message is one row of `messages`, and none is there twice. If not:
        `sms-delivery rebuild --from DAY --to DAY`; if `sent_messages` itself has it twice, report a bug.""",
    ),
    "states_sum_to_sent": (
        "delivery_rates",
        """In every bucket the seven states sum to `sent`, and each rate table counts every message of a day. If not:
        `sms-delivery rebuild --from DAY --to DAY`.""",
    ),
    "delivery_rate_held": (
        "delivery_rates",
        """No app, country or sender delivers clearly worse (5 points, beyond chance) on the last two days than in the
        28 before, and `worst_movers` shows no drop of a mature day in the last week. If one does: ask the platform
        about the route, look at the sender's texts; `delivery_by_country` and `delivery_by_sender` show more.""",
    ),
    "published_file_agrees": (
        "analytics_db",
        """The published DuckDB file shows what the lake holds, and the files that it names are there. If not:
        `sms-delivery publish`; if it stays, the lake was put back or files were deleted by hand.""",
    ),
    "schema_as_documented": (
        "analytics_db",
        """Every column has the documented type, place and meaning. If not, the file was made by another version:
        `sms-delivery publish`.""",
    ),
}
"""For each audit: the asset that it is shown at, what it says, and what to do when it is red."""
AUDIT_SPECS: Final = [
    dg.AssetCheckSpec(name, asset=WHAT_TO_DO[name][0], description=" ".join(WHAT_TO_DO[name][1].split()))
    for name in AUDITS
]
COMPLETE: Final = dg.AssetCheckSpec(
    "every_question_answered",
    asset="delivery_page",
    description="Every batch that was due got an answer, and there were logs to read. If not: the lines say which app, "
    "batch or setting; what was answered is published, and the next run asks for the rest.",
)


@dg.multi_asset_check(specs=AUDIT_SPECS, can_subset=True)
def audit(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> Iterator[dg.AssetCheckResult]:
    """Audit the run's result, in one step: a step costs more than most audits."""
    results: list[dg.AssetCheckResult] = []
    try:
        with library_log(context.log), readable_failures():
            lake, settings, now = workspace.lake(), workspace.settings, utc_now()
            with opened_scene(_days_of_run(context, settings), lake=lake, settings=settings, now=now) as scene:
                for spec in AUDIT_SPECS:
                    if spec.key in context.selected_asset_check_keys:
                        results.append(_result(spec, AUDITS[spec.name](scene)))  # noqa: PERF401 - kept if a later one fails
    except Exception:
        yield from results
        raise
    # After the tables are closed: a signal that arrives while Dagster has the result would leave them open.
    yield from results


@dg.multi_asset_check(specs=[COMPLETE])
def run_outcome(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Fail the run for what its steps did not get. It is the last step, so nothing downstream is skipped."""
    failures = _failures_of(context)
    yield dg.AssetCheckResult(
        check_name=COMPLETE.name,
        asset_key=COMPLETE.asset_key,
        passed=not failures,
        metadata={"failures_count": len(failures), FAILURES: failures},
    )
    if failures:
        raise dg.Failure(description="\n".join(failures), allow_retries=False)


def _result(spec: dg.AssetCheckSpec, finding: Finding) -> dg.AssetCheckResult:
    examples = {"first_bad_rows": dg.MetadataValue.json([dict(row) for row in finding.examples])}
    return dg.AssetCheckResult(
        check_name=spec.name,
        asset_key=spec.asset_key,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.ERROR if finding.is_severe else dg.AssetCheckSeverity.WARN,
        metadata={**finding.figures, **(examples if finding.examples else {})},
    )


def _days_of_run(context: dg.AssetCheckExecutionContext, settings: Settings) -> list[date]:
    """Return the days of the run from its tags: checks have no partitions."""
    today = settings.today(utc_now())
    first, last = range_of(context.run.tags) or (today - timedelta(days=RECENT_DAYS), today)
    return [first + timedelta(days=step) for step in range((last - first).days + 1)]


def _failures_of(context: dg.AssetCheckExecutionContext) -> list[str]:
    """Return what the steps of this run did not get, each line once; a range repeats it for each of its days."""
    failures: dict[str, None] = {}
    for _, metadata in materializations_of(context.instance, context.run.run_id):
        value = metadata.get(FAILURES)
        failures |= dict.fromkeys(map(str, value)) if isinstance(value, list) else {}
    return list(failures)
