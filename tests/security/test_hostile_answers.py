"""A hostile platform: what it echoes is hidden, and what it sends beyond all measure costs its own batch."""

from __future__ import annotations

import gzip
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from pipeline.api.endpoints import GET_REPORT
from pipeline.api.simulator.rules import make_msg_id
from tests.support.hostile import Seen, serving
from tests.support.places import opened_place, write_logs

MESSAGES = 60
KEYS = {"SMS_API_KEY": "Kq8/zW+Lr5mT2", "SMS_API_SECRET": "s3/cret+of=nobody"}


def rows_for(asked: Seen, **more: object) -> list[dict[str, object]]:
    return [
        {"msgId": msg_id, "status": "0", "number": "", "receiveTime": "2026-11-29T00:00:00+00:00"} | more
        for msg_id in asked.msg_ids
    ]


def answer(asked: Seen, **more: object) -> dict[str, object]:
    return {"status": "0", "reason": "success", "array": rows_for(asked, **more)}


def lake_bytes(folder: Path) -> bytes:
    """Return all that a lake and what is published beside it hold, Parquet as JSON text."""
    texts = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet":
            texts.append(json.dumps(pq.ParquetFile(path).read().to_pylist(), default=str).encode())
        elif path.is_file():
            texts.append(path.read_bytes())
    return b"\n".join(texts)


def spellings(asked: Sequence[Seen], values: dict[str, str]) -> set[bytes]:
    """Return what must be nowhere: key, secret and signatures, whole, by their halves, and as text is encoded."""
    secrets = {*values.values(), *(one.headers["Sign"] for one in asked)}
    halves = {half for secret in secrets for half in (secret[: len(secret) // 2], secret[len(secret) // 2 :])}
    forms = secrets | halves
    return {form.lower().encode() for form in forms} | {quote(form, safe="").lower().encode() for form in secrets}


ENCODINGS: Sequence[Callable[[str], str]] = (
    str,
    str.lower,
    str.upper,
    lambda text: quote(text, safe=""),
    lambda text: "x" * 190 + text,
    lambda text: f"49170{text}",
)


def test_credentials_that_good_answers_echo_are_nowhere(tmp_path: Path) -> None:
    encodings = itertools.cycle(ENCODINGS)

    def echo(asked: Seen) -> tuple[int, dict[str, str], bytes]:
        encode = next(encodings)
        told = {
            "apiKeyEcho": encode(asked.headers["Api-Key"]),
            "sign": encode(asked.headers["Sign"]),
            "deeper": [{encode(asked.headers["Sign"]): encode(KEYS["SMS_API_SECRET"])}],
        }
        body = answer(asked, **told) | {"reason": " ".join(map(str, told.values()))}
        body["array"] = [*rows_for(asked, **told), {"msgId": "x", "status": told["sign"], "receiveTime": told["sign"]}]
        return 200, {}, json.dumps(body).replace("/", r"\/").encode()  # as PHP writes it

    with opened_place(tmp_path) as place, serving(echo) as (url, asked):
        place.environment.update(KEYS)
        write_logs(place, MESSAGES)
        done = place.run("run", SMS_API_BASE_URL=url, SMS_BATCH_SIZE="5")
        found = place.query("SELECT count(*), count(extra) FROM delivery_reports")
        told = (lake_bytes(tmp_path / "data") + done.stdout.encode() + done.stderr.encode()).lower()

    assert len(asked) >= len(ENCODINGS)
    assert found == [(MESSAGES, MESSAGES)]
    for hidden in spellings(asked, KEYS):
        assert hidden not in told


@pytest.mark.parametrize("http_status", [200, 400, 403, 500])
def test_credentials_that_an_error_echoes_are_nowhere(http_status: int, tmp_path: Path) -> None:
    def echo(asked: Seen) -> tuple[int, dict[str, str], bytes]:
        sent = f"{asked.headers['Sign']} {asked.headers['Sign'].upper()} {asked.headers['Api-Key'].lower()}"
        reason = f"{'x' * 150} {sent} {KEYS['SMS_API_SECRET']} {sent}"
        return http_status, {}, json.dumps({"status": "-99", "reason": reason}).encode()

    with opened_place(tmp_path) as place, serving(echo) as (url, asked):
        place.environment.update(KEYS)
        write_logs(place, MESSAGES)
        done = place.run("run", SMS_API_BASE_URL=url, SMS_MAX_ATTEMPTS="1", status=1)
        doctor = place.run("doctor", SMS_API_BASE_URL=url, status=1)
        said = done.stdout + done.stderr + doctor.stdout + doctor.stderr
        told = (lake_bytes(tmp_path / "data") + said.encode()).lower()

    for hidden in spellings(asked, KEYS):
        assert hidden not in told


def test_a_key_of_digits_leaves_ids_that_contain_it(tmp_path: Path) -> None:
    """Hiding `210802` inside ids would lose their messages."""

    def echo(asked: Seen) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, json.dumps(answer(asked, echo=f"key {asked.headers['Api-Key']}")).encode()

    with opened_place(tmp_path) as place, serving(echo) as (url, _):
        now = write_logs(place, MESSAGES)
        part = make_msg_id(now, 1)[:8]
        place.run("run", SMS_API_BASE_URL=url, SMS_API_KEY=part)
        found = place.query("SELECT delivery_status, count(*) FROM messages GROUP BY ALL")
        ((extra,),) = place.query("SELECT DISTINCT extra FROM delivery_reports")

    assert found == [("delivered", MESSAGES)]
    assert extra == '{"echo":"key ***"}'


BIG = "9" * 6000
ODD_VALUES = (
    BIG,
    f"-{BIG}",
    f'[{{"deep":{BIG}}}]',
    "1e999999999",
    "NaN",
    "-Infinity",
    '"\\ud800"',
    '"a\\u0000b"',
    "[" * 900 + "]" * 900,
    json.dumps("x" * 1_000_000),
)


def test_an_odd_value_costs_nobody_an_answer(tmp_path: Path) -> None:
    values = itertools.cycle(ODD_VALUES)

    def odd(asked: Seen) -> tuple[int, dict[str, str], bytes]:
        body = json.dumps(answer(asked, odd="VALUE"))
        return 200, {}, body.replace('"VALUE"', next(values), 1).replace('"VALUE"', "1").encode()

    with opened_place(tmp_path) as place, serving(odd) as (url, asked):
        write_logs(place, MESSAGES)
        place.run("run", SMS_API_BASE_URL=url, SMS_BATCH_SIZE="5")
        found = place.query("SELECT delivery_status, count(*) FROM messages GROUP BY ALL")

    assert len(asked) >= len(ODD_VALUES)
    assert found == [("delivered", MESSAGES)]


def test_a_field_that_is_beyond_all_measure_costs_its_row_alone(tmp_path: Path) -> None:
    fields = ("msgId", "status", "receiveTime", "number")
    odd_fields = itertools.cycle(itertools.product(fields, (BIG, '"\\ud800"', "[[]]", "NaN", '"\\u0000"')))

    def odd(asked: Seen) -> tuple[int, dict[str, str], bytes]:
        field, value = next(odd_fields)
        rows = rows_for(asked)
        rows[0][field] = "VALUE"
        return 200, {}, json.dumps({"status": "0", "array": rows}).replace('"VALUE"', value).encode()

    with opened_place(tmp_path) as place, serving(odd) as (url, asked):
        write_logs(place, MESSAGES)
        place.run("run", SMS_API_BASE_URL=url, SMS_BATCH_SIZE="3")
        ((delivered,),) = place.query("SELECT count(*) FROM messages WHERE delivery_status = 'delivered'")

    assert len(asked) >= 20
    assert isinstance(delivered, int)
    assert delivered >= MESSAGES - len(asked)


BOMBS = (
    b'{"status":"0","array":[' + b"{}," * 2_700_000 + b"{}]}",
    b'{"status":"0","array":[' + b"{}," * 500_000 + b"{}]}",
    b'{"status":"0","array":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"status":"0"' + b" " * 40_000_000 + b"}",
    b'{"status":"-3","array":[{' + b",".join(b'"%d":1' % number for number in range(200_000)) + b"}]}",
)


def test_a_bomb_costs_its_batch_and_the_run_goes_on(tmp_path: Path) -> None:
    waiting, bombs_by_id = list(map(gzip.compress, BOMBS)), dict[str, bytes]()

    def bombs(asked: Seen) -> tuple[int, dict[str, str], bytes]:
        if waiting and asked.msg_ids[0] not in bombs_by_id:
            bombs_by_id[asked.msg_ids[0]] = waiting.pop()
        if packed := bombs_by_id.get(asked.msg_ids[0]):
            return 200, {"Content-Encoding": "gzip"}, packed
        return 200, {}, json.dumps(answer(asked)).encode()

    with opened_place(tmp_path) as place, serving(bombs) as (url, _):
        write_logs(place, MESSAGES)
        done = place.run("run", SMS_API_BASE_URL=url, SMS_BATCH_SIZE="5", SMS_MAX_ATTEMPTS="2", status=1)
        found = place.query("SELECT delivery_status, count(*) FROM messages GROUP BY ALL ORDER BY ALL")
        given_up = place.query("SELECT count(*) FROM api_calls WHERE outcome = 'gave_up'")

    assert found == [("delivered", MESSAGES - 5 * len(BOMBS)), ("pending", 5 * len(BOMBS))]
    assert given_up == [(len(BOMBS),)]
    assert "published" in done.stdout


def test_a_bomb_takes_no_more_memory_than_a_body_may_be_long() -> None:
    decode = "import sys; from pipeline.api.envelope import *; import contextlib, resource\n"
    decode += "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    decode += f"body = b'{{\"status\":\"0\",\"array\":[' + b'{{}},' * {GET_REPORT.most_bytes // 3 - 20} + b'{{}}]}}'\n"
    decode += "with contextlib.suppress(NotTheProtocolError): decode_envelope(body); sys.exit('was taken')\n"
    decode += "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    done = subprocess.run([sys.executable, "-c", decode], capture_output=True, text=True, check=True)

    assert int(done.stdout) < 100
