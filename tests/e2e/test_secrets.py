"""The API secret and signatures are in nothing that a run writes or prints; phone numbers are not in its logs."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.support.places import KEY, SECRET, Place, write_logs


@pytest.mark.slow
def test_a_recorded_run_leaves_no_secret_signature_or_number_in_any_file_or_output(place: Place) -> None:
    write_logs(place, 200)
    home = place.folder / "home"
    home.mkdir()
    done = place.run("run", DAGSTER_HOME=str(home))
    stamps = {call.timestamp for call in place.simulator.calls}
    signatures = [hashlib.md5(f"{KEY}{SECRET}{stamp}".encode(), usedforsecurity=False).hexdigest() for stamp in stamps]
    assert signatures
    written = {path: path.read_bytes() for path in place.folder.rglob("*") if path.is_file()}
    for hidden in (SECRET, *signatures):
        assert hidden not in done.stdout + done.stderr
        assert [path for path, content in written.items() if hidden.encode() in content] == []
    logged = [json.loads(line) for line in next(place.folder.glob("logs/*")).read_text().splitlines()]
    numbers = [record["number"] for record in logged if "number" in record]
    assert numbers
    in_home = b"".join(content for path, content in written.items() if path.is_relative_to(home))
    assert [number for number in numbers if number.encode() in in_home] == []
    assert [number for number in numbers if number in done.stdout + done.stderr] == []
