"""What the simulator pushes: one report per final message, and what goes wrong with some on purpose."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.api.simulator.pushing import PUSH_FAULTS, PushOptions, push_faults, pushes_for
from pipeline.api.simulator.rules import fate_of, make_msg_id

IDS = [make_msg_id(datetime(2026, 3, 2, 12, tzinfo=UTC), n) for n in range(300)]
FINAL = [msg_id for msg_id in IDS if fate_of(msg_id).final_at]


def pushed(msg_id: str, **faults: float) -> list[tuple[datetime, dict[str, object]]]:
    return [(at, json.loads(body)) for at, body in pushes_for("app", msg_id, PushOptions("http://x", faults))]


def test_each_final_message_is_pushed_once_in_its_state_when_it_is_final() -> None:
    for msg_id in IDS:
        fate = fate_of(msg_id)
        found = [(at, report["msgid"], report["status"]) for at, report in pushed(msg_id)]
        assert found == ([(fate.final_at, msg_id, int(fate.status))] if fate.final_at else [])


@pytest.mark.parametrize("name", PUSH_FAULTS)
def test_each_fault_does_what_it_says(name: str) -> None:
    for msg_id in FINAL:
        (at, report), *_ = pushed(msg_id)
        struck = pushed(msg_id, **{name: 1})
        ids = [other["msgid"] for _, other in struck]
        match name:
            case "lost":
                assert struck == []
            case "doubled":
                assert struck == [(at, report)] * 2
            case "late":
                assert [when for when, _ in struck] == [at + timedelta(hours=1)]
            case "false":
                assert [other["status"] for _, other in struck] == [1 - int(str(report["status"]))]
            case _:
                assert ids[0] == msg_id
                assert len(ids) == 2
                assert ids[1] not in IDS


def test_a_rate_strikes_about_as_many() -> None:
    lost = sum(not pushed(msg_id, lost=0.3) for msg_id in FINAL)
    assert 0.2 < lost / len(FINAL) < 0.4


@pytest.mark.parametrize("spec", ["lost", "lost=2", "lost=x", "found=1", "lost=-1"])
def test_a_fault_that_is_none_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        push_faults([spec])
