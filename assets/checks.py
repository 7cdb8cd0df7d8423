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
from assets.partitions import RECENT_DAYS, range_of
from assets.resources import Workspace, utc_now
from pipeline.maintain.audits.context import Finding, opened_context
from pipeline.maintain.audits.registry import AUDITS
from pipeline.model.settings import Settings

BAD_ROWS: Final = "first_bad_rows"
"""Metadata entry with the first bad rows of a check."""
AUDIT_SPECS: Final = [
    dg.AssetCheckSpec(name, asset=audit.asset, description=audit.description) for name, audit in AUDITS.items()
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
            lake, settings, now = workspace.lake, workspace.settings, utc_now()
            with opened_context(_days_of_run(context, settings), lake=lake, settings=settings, now=now) as audited:
                for spec in AUDIT_SPECS:
                    if spec.key in context.selected_asset_check_keys:
                        finding = AUDITS[spec.name].run(audited)
                        results.append(_result(spec, finding))
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
    examples = {BAD_ROWS: dg.MetadataValue.json([dict(row) for row in finding.examples])}
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
    """Return what the steps of this run did not get, each line once."""
    found = materializations_of(context.instance, context.run.run_id).values()
    return list(dict.fromkeys(str(line) for metadata in found for line in metadata.get(FAILURES, [])))
