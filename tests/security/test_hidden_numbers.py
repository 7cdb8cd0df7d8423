"""A phone number in any spelling and in any place is hidden before it is stored or shown, unless numbers are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pytest

from pipeline.api.batches import Batch
from pipeline.api.client import GoodResponse, Ledger
from pipeline.api.envelope import decode_envelope
from pipeline.api.responses import judge_response
from pipeline.collect.sent_messages import collect, log_rules
from pipeline.follow.recorder import Recorder
from pipeline.lake.lake import Lake
from pipeline.maintain.log_sample import fields_text, newest_samples
from pipeline.model.errors import CallError
from pipeline.model.phone_numbers import Mode, NumberPolicy, mask_digits
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_REPORTS, REJECTED_RECORDS, SENT_MESSAGES
from tests.scenarios.stage import read_table
from tests.support.spellings import NUMBER, SPELLINGS, digits_in, holds, places_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HIDING: tuple[Mode, ...] = ("mask", "hash", "drop")
MSG_ID = "2108021054011000095"
KEY = "a key of 32 characters, or of more"


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    "around", ["{}", "to {}.", "tel:{}", "x{}x", "2108021054011000095 {}", "{} {}", "2026-11-27 {}"]
)
def test_no_digit_of_a_number_is_left_in_foreign_text(spelling: str, around: str) -> None:
    kept = digits_in(around.replace("2026-11-27", ""))
    assert digits_in(mask_digits(around.replace("{}", spelling))) == kept


def test_escapes_of_json_and_html_hide_no_number() -> None:
    in_json = "".join(f"\\u{ord(digit):04x}" for digit in NUMBER)
    in_html = "".join(f"&#{ord(digit)};" for digit in NUMBER)
    for text in (
        in_json,
        f"A{in_json}",
        in_html,
        f"49&nbsp;170&nbsp;111&#160;22{in_json[-12:]}",
        "49\\u00a0170\\t111\\n22/22",
    ):
        masked = mask_digits(f"it said {text}.")
        assert masked.count("*") >= len(NUMBER)
        assert not holds(masked)


@pytest.mark.parametrize(
    "text", ["&#12;" * 50_000, "1 " * 200_000, "\\u0031" * 50_000, "2026-11-27 " * 20_000, "1" + " " * 300_000]
)
def test_a_long_hostile_text_is_masked_in_one_pass(text: str) -> None:
    """With backtracking the first of them takes minutes; the suite's own time limit would end it."""
    assert len(mask_digits(text)) <= len(text)


def log_lines() -> list[dict[str, object]]:
    """Return records that are stored and records that are rejected, with each spelling in each field."""
    lines: list[dict[str, object]] = []
    for place, spelling in enumerate(SPELLINGS):
        good: dict[str, object] = {"msg_id": str(place + 1), "sent_at": "2026-03-01T10:00:00Z", "app_id": "app"}
        lines += [
            good | {"number": spelling, "sender_id": spelling, "order_id": f"for {spelling}", "campaign": spelling},
            good | {"msg_id": f"id {spelling}", "sender_id": spelling, "order_id": spelling, "number": spelling},
            good | {"sent_at": f"at {spelling}", "app_id": spelling},
            {"sent_at": good["sent_at"], "response": {"status": "-3", "reason": f"no route to {spelling}"}},
        ]
    return lines


@pytest.mark.parametrize("mode", HIDING)
def test_no_spelling_in_a_log_reaches_the_lake(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path, mode: Mode
) -> None:
    (tmp_path / "sent.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log_lines()), encoding="utf-8")
    chosen = settings(sent_logs="*.jsonl", numbers=mode, numbers_key=KEY, sent_log_labels="campaign")
    tally = collect([NOON.date()], lake=lake, settings=chosen, now=NOON)
    assert (tally.stored, tally.rejected) == (len(SPELLINGS), 3 * len(SPELLINGS))
    assert places_of(lake.folder) == []
    assert {row["number"] for row in read_table(lake, SENT_MESSAGES)} == {row["sender_id"] for row in sent_rows(lake)}


def sent_rows(lake: Lake) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = list(read_table(lake, SENT_MESSAGES))
    return rows


def test_short_codes_names_and_long_ids_stay_as_they_are(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    kept = [("22333", MSG_ID), ("ACME 24", "A-2026-11-27"), ("123456", "2026-11-27 10:00:01")]
    record = {"sent_at": "2026-03-01T10:00:00Z", "app_id": "app"}
    lines = [
        record | {"msg_id": str(place), "sender_id": sender, "order_id": order}
        for place, (sender, order) in enumerate(kept)
    ]
    (tmp_path / "sent.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    collect([NOON.date()], lake=lake, settings=settings(sent_logs="*.jsonl", numbers="mask"), now=NOON)
    assert [(row["sender_id"], row["order_id"]) for row in sent_rows(lake)] == kept


def answers() -> bytes:
    """Return a response that has each spelling wherever text can be."""
    rows: list[dict[str, object]] = [
        {
            "msgId": MSG_ID,
            "number": SPELLINGS[0],
            "receiveTime": f"at {SPELLINGS[1]}",
            "status": SPELLINGS[2],
            "to": list(SPELLINGS[:3]),
            SPELLINGS[3]: {"deep": {SPELLINGS[4]: SPELLINGS[5]}},
            "n": int(NUMBER),
            "f": float(NUMBER),
        },
    ]
    rows += [{"msgId": f"x {text}", "number": text, "receiveTime": text, "status": text} for text in SPELLINGS]
    escaped = "".join(f"\\u{ord(digit):04x}" for digit in NUMBER)
    text = json.dumps({"status": "0", "reason": f"sent to {SPELLINGS[1]}", "array": rows})
    return text.replace('"n":', f'"split": "{escaped}", "{escaped}": 1, "n":').encode()


@pytest.mark.parametrize("mode", HIDING)
def test_no_spelling_in_an_answer_reaches_the_lake(lake: Lake, mode: Mode) -> None:
    recorder = Recorder(lake, NumberPolicy(mode, key=KEY.encode()), lambda _: None)
    envelope = decode_envelope(answers())
    batch = Batch("app", [(MSG_ID, NOON.date())])
    recorder.answer(batch, "call", Ledger(), GoodResponse(envelope, 200, NOON))
    for spelling in SPELLINGS:
        error = CallError(f"the platform answers: {spelling}", 200, "-9", f"about {spelling}")
        recorder.failure(batch, f"call {spelling[:3]}", Ledger(), "gave_up", error)
    recorder.close()
    (report,) = read_table(lake, DELIVERY_REPORTS)
    assert {"to", "n", "f", "split"} <= json.loads(report["extra"]).keys()
    assert len(read_table(lake, REJECTED_RECORDS)) > len(SPELLINGS)
    assert places_of(lake.folder) == []


class _Response:
    status_code = 500
    headers: Mapping[str, str] = MappingProxyType({})


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("form", ['{{"status": "-9", "reason": "{}"}}', "<p>{}</p>", '{{"array": [{{"number": "{}"'])
def test_no_spelling_is_quoted_in_an_error(spelling: str, form: str) -> None:
    for text in (spelling, json.dumps(spelling)[1:-1]):
        with pytest.raises(CallError) as said:
            judge_response(_Response(), form.format(text).encode(), offset_seconds=None, observed_at=NOON)
        assert digits_in(str(said.value).replace("HTTP 500", "").replace("-9", "")) == ""


def test_doctor_names_no_number_of_a_log_without_a_header(settings: Callable[..., Settings], tmp_path: Path) -> None:
    (tmp_path / "sent.csv").write_text(f"msg_id,sent_at,{SPELLINGS[1]}\n1,2026-03-01T10:00:00Z,x\n")
    chosen = settings(sent_logs="*.csv")
    (sample,) = newest_samples(chosen, log_rules(chosen, NOON))
    assert not holds(fields_text(sample))
