"""A platform that answers for other ids than were asked, through the installed command."""

from __future__ import annotations

from pathlib import Path

from pipeline.api.simulator.faults import Faults
from tests.support.places import opened_place, write_logs


def test_a_run_whose_answers_are_for_other_ids_publishes_says_so_and_ends_with_1(tmp_path: Path) -> None:
    with opened_place(tmp_path, faults=Faults((("stranger", 1.0),))) as place:
        write_logs(place, 90)
        done = place.run("run", status=1, SMS_BATCH_SIZE="10")
        told = done.stdout + done.stderr
        assert "of the batches got an answer that disagrees with what was asked" in told
        assert "the first: rows for ids that were not asked" in told
        assert place.query("SELECT count(*) FROM messages") == [(90,)]
        ((ok, odd),) = place.query("SELECT sum(ok), sum(mismatch) FROM api_health")
        assert (ok, odd) == (0, len(place.simulator.calls))
