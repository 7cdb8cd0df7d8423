"""Mutated responses: no exception escapes the decoder and the rules of rows, and no id vanishes.

A hundred thousand inputs from fixed seeds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from pipeline.api.envelope import AnsweredCall, Envelope, NotTheProtocolError, decode_envelope
from pipeline.api.reports import flatten_reports
from tests.scenarios.mutations import mutated

NOW: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
ASKED: Final = ("2611200954011000095", "2611200959531000096", "2611200959531000097")
ROWS: Final = [
    {"msgId": ASKED[0], "number": "91856321412", "receiveTime": "2026-11-20T17:30:03+08:00", "status": "0"},
    {"msgId": int(ASKED[1]), "number": 91856321413, "receiveTime": "", "status": -1, "pricedetail": {"pay": "0.1"}},
]
COUNTS: Final = {"success": "1", "fail": 0, "sending": "1", "nofound": 1}
ANSWER: Final = {"status": "0", "reason": "success", **COUNTS, "array": ROWS}
PLAIN_ROWS: Final = [
    {"msgId": msg_id, "number": "91856321412", "receiveTime": "2026-11-20T17:30:03+08:00", "status": status}
    for msg_id, status in zip(ASKED, ("0", "1", "-1"), strict=True)
]
PLAIN_ANSWER: Final = {"status": "0", "reason": "success", "success": "1", "fail": "1", "array": PLAIN_ROWS}


def envelopes(answer: dict[str, Any], inputs: int, chance: Random) -> Iterator[Envelope]:
    """Yield what the decoder makes of mutated answers; what is not the protocol is said so."""
    text = json.dumps(answer).encode()
    for _ in range(inputs):
        try:
            yield decode_envelope(mutated(text, chance))
        except NotTheProtocolError:
            continue


def answers_of(answer: dict[str, Any], inputs: int, seed: int) -> list[AnsweredCall]:
    """Return what mutated answers are decoded to."""
    return [
        AnsweredCall(f"call-{number}", "app", NOW, [(msg_id, NOW.date()) for msg_id in ASKED], envelope)
        for number, envelope in enumerate(envelopes(answer, inputs, Random(seed)))  # noqa: S311 - repeatable
    ]


def lose_no_id(answer: dict[str, Any], inputs: int, seed: int) -> None:
    answers = answers_of(answer, inputs, seed)
    assert len(answers) > inputs // 20
    reports = flatten_reports(answers).reports
    found = list(zip(reports["call_id"], reports["msg_id"], strict=True))
    assert len(found) == len(set(found))
    assert set(found) == {(answer.call_id, msg_id) for answer in answers for msg_id in ASKED}


def test_a_hundred_thousand_mutated_responses_lose_no_id() -> None:
    lose_no_id(ANSWER, 100_000, seed=1)


def test_mutated_responses_with_plain_rows_lose_no_id() -> None:
    lose_no_id(PLAIN_ANSWER, 10_000, seed=3)
