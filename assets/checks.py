"""Asset checks: each audit of the library shown at an asset, and those that fail a run.

What belongs here: a check's asset, and what a person does when it is red (`WHAT_TO_DO`). What does not: the query and
its bounds; to add a check, add an audit to `pipeline/maintain/audits/` and an entry here.

No check blocks: a run publishes first, and a red check says what is wrong with the result. ERROR means that figures
are wrong or work stands still; WARN, that somebody should look. `every_question_answered` and `every_record_read` fail
each run that asked and missed something, however much of the chain it covers.
"""

# No `from __future__ import annotations`: Dagster reads the annotations.

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

import dagster as dg

from assets.assets import run_started_at
from assets.events import library_log, materializations_of, one_line, readable_failures
from assets.metadata import FAILURES, LEFT, OUTCOME
from assets.partitions import RECENT_DAYS, range_of
from assets.project import Project
from assets.resources import Workspace, utc_now
from pipeline.maintain.asking import asking_of
from pipeline.maintain.audits.context import Finding, opened_context
from pipeline.maintain.audits.registry import AUDITS
from pipeline.model.settings import Settings

BAD_ROWS: Final = "first_bad_rows"
"""Metadata entry with the first bad rows of a check."""
COMPLETE: Final = "every_question_answered"
COMPLETE_DESCRIPTION: Final = (
    "Every batch of these days that was due got an answer, and there were logs to read. If not: the lines say which "
    "app, batch or setting; what was answered is published, and the next run asks for the rest. It fails, too, if "
    "two or more of a run's batches, and over 5 % of them, got an answer that disagrees with what was asked. A "
    "run that asks nothing leaves the check as it was."
)
RECORD_COMPLETE: Final = "every_record_read"
RECORD_DESCRIPTION: Final = (
    "The platform gave its whole record of these days, for each app. If not: the lines say which app, day or setting; "
    "what was read is published, and the next run reads the rest."
)
FAILING: Final = (COMPLETE, RECORD_COMPLETE)
"""Checks that fail their run."""


def build_checks(project: Project) -> list[dg.AssetChecksDefinition]:
    """Make the steps of checks: all audits, and those that fail a run."""
    return [_audit(project), _run_outcome(project), _record_outcome(project)]


def _audit(project: Project) -> dg.AssetChecksDefinition:
    specs = [
        dg.AssetCheckSpec(name, asset=project.key(audit.asset), description=audit.description)
        for name, audit in AUDITS.items()
    ]

    @dg.multi_asset_check(name=project.named("audit"), specs=specs, can_subset=True)
    def audit(
        context: dg.AssetCheckExecutionContext, sms_workspace: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.AssetCheckResult]:
        """Audit the run's result, in one step: a step costs more than most audits."""
        results: list[dg.AssetCheckResult] = []
        try:
            with library_log(context.log), readable_failures():
                lake, settings, now = sms_workspace.lake, sms_workspace.settings, utc_now()
                with opened_context(_days_of_run(context, settings), lake=lake, settings=settings, now=now) as audited:
                    selected = (spec for spec in specs if spec.key in context.selected_asset_check_keys)
                    results.extend(_result(spec, AUDITS[spec.name].run(audited)) for spec in selected)
        except Exception:
            yield from results  # of the audits before the one that failed
            raise
        # After the tables are closed: a signal that arrives while Dagster has the result would leave them open.
        yield from results

    return audit


def _run_outcome(project: Project) -> dg.AssetChecksDefinition:
    asset = project.key("delivery_reports")
    complete = dg.AssetCheckSpec(COMPLETE, asset=asset, description=COMPLETE_DESCRIPTION)

    @dg.multi_asset_check(name=project.named(OUTCOME), specs=[complete], can_subset=True)
    def run_outcome(
        context: dg.AssetCheckExecutionContext, sms_workspace: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.AssetCheckResult]:
        """Fail the run for what it did not get. No step depends on this one, so nothing is skipped for it."""
        failures, left = _missing_of(context)
        with readable_failures():
            lake, settings = sms_workspace.lake, sms_workspace.settings
            asked = asking_of(
                _days_of_run(context, settings),
                since=run_started_at(context),
                now=utc_now(),
                lake=lake,
                settings=settings,
            )
        failures = failures or ([] if left else asked.failures)
        if failures or (asked.calls and not left):
            found: dict[str, Any] = {"failures_count": len(failures), FAILURES: failures, "calls": asked.calls}
            yield dg.AssetCheckResult(check_name=COMPLETE, asset_key=asset, passed=not failures, metadata=found)
        if failures:
            raise dg.Failure(description="\n".join(map(one_line, failures)), allow_retries=False)

    return run_outcome


def _record_outcome(project: Project) -> dg.AssetChecksDefinition:
    asset = project.key("platform_record")
    complete = dg.AssetCheckSpec(RECORD_COMPLETE, asset=asset, description=RECORD_DESCRIPTION)

    @dg.multi_asset_check(name=project.named(f"record_{OUTCOME}"), specs=[complete], can_subset=True)
    def record_outcome(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        """Fail the run for what it did not get, after all else: no step depends on this one."""
        failures, _ = _missing_of(context)
        found: dict[str, Any] = {"failures_count": len(failures), FAILURES: failures}
        yield dg.AssetCheckResult(check_name=RECORD_COMPLETE, asset_key=asset, passed=not failures, metadata=found)
        if failures:
            raise dg.Failure(description="\n".join(map(one_line, failures)), allow_retries=False)

    return record_outcome


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


def _missing_of(context: dg.AssetCheckExecutionContext) -> tuple[list[str], int]:
    """Return what the steps of this run did not get, each line once, and how many messages it left on purpose."""
    found = materializations_of(context.instance, context.run.run_id).values()
    failures = dict.fromkeys(str(line) for metadata in found for line in metadata.get(FAILURES, []))
    return list(failures), sum(metadata.get(LEFT, 0) for metadata in found)
