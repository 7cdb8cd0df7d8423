"""The request path: signed requests of 200 ids, eight at a time; and the frames made of the answers."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime

import msgspec
import pytest
from pydantic import SecretStr

from benchmarks import floor as bare
from benchmarks.parts.conftest import DAY, Measure
from benchmarks.rule import API_KEY, API_SECRET, APP_ID
from benchmarks.server import reported
from pipeline.api.batches import Batch
from pipeline.api.client import Gateway, Ledger
from pipeline.api.envelope import AnsweredCall, decode_envelope
from pipeline.api.reports import flatten_reports
from pipeline.model.accounts import Account

CALLS, AT_ONCE = 500, 8
ASKED = f"{CALLS} requests of 200 ids"


class Row(msgspec.Struct, rename="camel"):
    """A report, as it comes."""

    msg_id: str
    number: str
    receive_time: str
    status: str


class Body(msgspec.Struct):
    """A response, as it comes."""

    status: str
    reason: str
    success: str
    fail: str
    sending: str
    nofound: str
    array: list[Row]


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    """What is asked for."""
    head = f"{DAY:%y%m%d}120000"
    ids = [f"{head}{number:07}" for number in range(CALLS * 200)]
    return [Batch(APP_ID, [(msg_id, DAY) for msg_id in ids[first : first + 200]]) for first in range(0, len(ids), 200)]


@pytest.fixture(scope="module")
def bodies(batches: list[Batch]) -> list[bytes]:
    """What is answered."""
    return [reported(list(batch.msg_ids)).encode() for batch in batches]


def bench_asking(part: Measure, base_url: str, batches: list[Batch]) -> None:
    assert part("request path", ASKED, lambda: asyncio.run(ask_for(base_url, batches))) == CALLS


async def ask_for(base_url: str, batches: list[Batch]) -> int:
    """Ask for all; return how many were answered."""
    account = Account(base_url, SecretStr(API_KEY), SecretStr(API_SECRET))
    left, answered = iter(batches), 0

    async def work(gateway: Gateway) -> None:
        nonlocal answered
        for batch in left:
            response = await gateway.ask(batch, account, Ledger())
            answered += response.http_status == 200

    async with Gateway(timeout_seconds=30, max_attempts=1, requests_per_second=0) as gateway:
        await asyncio.gather(*(work(gateway) for _ in range(AT_ONCE)))
    return answered


def bench_asking_floor(floor: Measure, base_url: str, batches: list[Batch]) -> None:
    texts = [",".join(batch.msg_ids) for batch in batches]
    answers = floor("request path", "eight bare sockets, bodies unread", lambda: list(bare.ask(base_url, texts)))
    assert len(answers) == CALLS


@pytest.mark.parametrize("kind", ["plain", "one row in a thousand odd", "with prices and unknown fields"])
def bench_flattening(part: Measure, batches: list[Batch], bodies: list[bytes], kind: str) -> None:
    now, given = datetime.now(UTC), [altered(body, kind, first * 200) for first, body in enumerate(bodies)]

    def flatten() -> int:
        rows = 0
        for first in range(0, CALLS, 100):  # as many as are committed at once
            calls = [
                AnsweredCall(uuid.uuid4().hex, APP_ID, now, batch.ids, decode_envelope(body))
                for batch, body in zip(batches[first : first + 100], given[first : first + 100], strict=True)
            ]
            rows += len(flatten_reports(calls).reports)
        return rows

    assert part("decode and flatten", f"{CALLS} responses of 200 rows, {kind}", flatten) == CALLS * 200


def altered(body: bytes, kind: str, first: int) -> bytes:
    """Return a response of this kind."""
    response = json.loads(body)
    for number, row in enumerate(response["array"], first):
        if kind == "with prices and unknown fields":
            row["pricedetail"] = {"pay": "0.0131", "price": "0.0131", "currency": "USD", "chargeCnt": 1}
            row["mcc"] = "404"
        elif kind == "one row in a thousand odd" and number % 1_000 == 500:
            row |= {"receiveTime": "soon", "status": "9"}
    return json.dumps(response, separators=(",", ":")).encode()


def bench_flattening_floor(floor: Measure, bodies: list[bytes]) -> None:
    decoder = msgspec.json.Decoder(Body)
    decoded = floor(
        "decode and flatten", "msgspec, typed, nothing made of it", lambda: list(map(decoder.decode, bodies))
    )
    assert sum(len(body.array) for body in decoded) == CALLS * 200
