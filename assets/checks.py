"""Asset checks. The last one ends the run: it fails it, after everything was published, for what was not got."""

from collections.abc import Iterator

import dagster as dg

from assets.showing import FAILURES, materialized

COMPLETE = dg.AssetCheckSpec(
    "every_question_answered",
    asset="delivery_page",
    description="Every batch that was due got an answer, and there were logs to read. If not: the lines say which app, "
    "batch or setting; what was answered is published, and the next run asks for the rest.",
)


@dg.multi_asset_check(specs=[COMPLETE])
def run_outcome(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Fail the run for what its steps did not get, as the last step, so that nothing downstream was skipped."""
    failures = _failures_of(context)
    yield dg.AssetCheckResult(
        check_name=COMPLETE.name,
        asset_key=COMPLETE.asset_key,
        passed=not failures,
        metadata={"failures_count": len(failures), FAILURES: failures},
    )
    if failures:
        raise dg.Failure(description="\n".join(failures), allow_retries=False)


def _failures_of(context: dg.AssetCheckExecutionContext) -> list[str]:
    """Gather what the steps of this run said they did not get; a range says it once for each of its days."""
    failures: dict[str, None] = {}
    for _, metadata in materialized(context.instance, context.run.run_id):
        value = metadata.get(FAILURES)
        failures |= dict.fromkeys(map(str, value)) if isinstance(value, list) else {}
    return list(failures)
