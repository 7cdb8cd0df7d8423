"""The floor: the same work with nothing that could be left out. No framework, no checks, no retries, no history.

    python benchmarks/floor.py BASE_URL LOG FOLDER      results: FOLDER/result.duckdb

DuckDB reads the log; eight bare sockets ask, each one request at a time; a thread decodes the answers by the hundred
with Arrow; DuckDB joins and writes one Parquet file and the rates. All of it in memory. A country is known by the
first two digits of a number: enough for the numbers of the benchmark.
"""

from __future__ import annotations

import hashlib
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa
import pyarrow.json

API_KEY, API_SECRET, APP_ID = "bDqJFiq9", "nobodys-secret", "4luaKsL2"
CONNECTIONS = 8
BATCH = 200
BODIES_AT_ONCE = 200
RATES = Path(__file__).with_name("delivery_rates_daily.sql")
ANSWER = pa.schema(
    [("array", pa.list_(pa.struct([(name, pa.string()) for name in ("msgId", "receiveTime", "status")])))]
)
LOG = {"msg_id": "VARCHAR", "sent_at": "TIMESTAMPTZ"} | dict.fromkeys(
    ("app_id", "number", "sender_id", "order_id"), "VARCHAR"
)
MESSAGES = """
    SELECT
      sent.*,
      CASE number[:2]
        WHEN '49' THEN 'DE' WHEN '33' THEN 'FR' WHEN '91' THEN 'IN' WHEN '55' THEN 'BR' WHEN '12' THEN 'US'
        WHEN '44' THEN 'GB' WHEN '23' THEN 'NG' WHEN '62' THEN 'ID' WHEN '52' THEN 'MX' WHEN '63' THEN 'PH'
      END AS country,
      sent_at::DATE AS sent_date,
      CASE status WHEN '0' THEN 'delivered' WHEN '1' THEN 'failed' END AS delivery_status,
      delivery_status IS NOT NULL AS is_final,
      receiveTime::TIMESTAMPTZ AS receive_time,
      epoch(receive_time) - epoch(sent_at) AS latency_seconds
    FROM sent LEFT JOIN reports ON msg_id = msgId"""


def main() -> None:
    """Do it all."""
    base_url, log, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    with duckdb.connect(folder / "result.duckdb") as connection:
        connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        connection.execute(
            f"CREATE TEMP TABLE sent AS FROM read_json('{log}', format = 'newline_delimited', columns = {LOG})"
        )
        batches = [text for (text,) in connection.execute(
            f"SELECT string_agg(msg_id, ',') FROM sent GROUP BY rowid // {BATCH}"
        ).fetchall()]  # fmt: skip
        connection.register("reports", reports_of(base_url, batches))
        parquet = folder / "messages.parquet"
        connection.execute(f"COPY ({MESSAGES}) TO '{parquet}' (COMPRESSION zstd)")
        connection.execute(f"CREATE VIEW messages AS FROM '{parquet}'")
        connection.execute(f"CREATE TABLE delivery_rates_daily AS {RATES.read_text('utf-8')}")


def reports_of(base_url: str, batches: list[str]) -> pa.Table:
    """Ask for all batches, and return a row for each message."""
    decoded: list[Future[pa.Table]] = []
    bodies: list[bytes] = []
    with ThreadPoolExecutor(1) as decoder:
        for body in ask(base_url, batches):
            bodies.append(body)
            if len(bodies) == BODIES_AT_ONCE:
                decoded.append(decoder.submit(decode, bodies))
                bodies = []
        decoded.append(decoder.submit(decode, bodies))
    return pa.concat_tables(part.result() for part in decoded)


def decode(bodies: list[bytes]) -> pa.Table:
    """Make one row per message of whole answers."""
    if not bodies:
        return pa.table({name: pa.array([], pa.string()) for name in ("msgId", "receiveTime", "status")})
    read_json: Any = pyarrow.json.read_json  # its stubs know no buffers
    answers = read_json(
        pa.BufferReader(b"\n".join(bodies)),
        parse_options=pyarrow.json.ParseOptions(explicit_schema=ANSWER, unexpected_field_behavior="ignore"),
    )
    return pa.concat_tables([pa.Table.from_struct_array(chunk.flatten()) for chunk in answers["array"].chunks])


def ask(base_url: str, batches: list[str]) -> Iterator[bytes]:
    """Yield the body of each answer as it comes, from eight connections."""
    place = urlsplit(base_url)
    assert place.hostname
    address = (place.hostname, place.port or 80)
    left = iter(batches)
    with selectors.EpollSelector() as selector:
        for batch in (text for _, text in zip(range(CONNECTIONS), left, strict=False)):
            connected = socket.create_connection(address)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.sendall(request_for(batch, place.path, place.netloc))
            selector.register(connected, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                asked = key.fileobj
                assert isinstance(asked, socket.socket)
                body = received(asked)
                batch = next(left, "")
                if batch:
                    asked.sendall(request_for(batch, place.path, place.netloc))
                else:
                    selector.unregister(asked)
                    asked.close()
                yield body


def received(asked: socket.socket) -> bytes:
    """Read one response, and return its body."""
    got = asked.recv(1 << 16)
    head, _, body = got.partition(b"\r\n\r\n")
    missing = int(head.rpartition(b"Content-Length: ")[2]) - len(body)
    while missing > 0:
        more = asked.recv(missing)
        body += more
        missing -= len(more)
    return body


def request_for(batch: str, path: str, host: str) -> bytes:
    """Return a signed request as it goes over the wire."""
    return f"GET {path}/getReport?appId={APP_ID}&msgIds={batch} HTTP/1.1\r\n{headers(host, int(time.time()))}".encode()


@lru_cache(maxsize=4)
def headers(host: str, now: int) -> str:
    """Return the headers of a second."""
    sign = hashlib.md5(f"{API_KEY}{API_SECRET}{now}".encode(), usedforsecurity=False).hexdigest()
    return (
        f"Host: {host}\r\nContent-Type: application/json;charset=UTF-8\r\n"
        f"Sign: {sign}\r\nTimestamp: {now}\r\nApi-Key: {API_KEY}\r\n\r\n"
    )


if __name__ == "__main__":
    main()
