"""SIGINT and SIGTERM end a command with status 1 and one line: in order if that is quick, otherwise by force.

Ending by force is safe: the lake survives processes that die. What asks the API (`pipeline/follow/workers.py`)
commits the answers that arrived first.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

GRACE_SECONDS: Final = 8.0
"""Time from the signal in which a command may end in order."""
FAILED: Final = 1
STOPPED: Final = "sms-delivery: stopped by a signal; what had arrived is committed, run again for the rest"
MOMENT_SECONDS: Final = 0.1
_SHOW_CURSOR: Final = b"\x1b[?25h\r\x1b[K"
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """Let SIGINT and SIGTERM raise `KeyboardInterrupt` in the block; end the process if it is still there afterwards.

    Gives the event of a signal's arrival; wait `MOMENT_SECONDS` for one that is being delivered.

    Python runs a signal handler between two bytecodes, and a query of DuckDB is one bytecode, however long; DuckDB also
    swallows the exception of a handler. So a thread reads signals too, from the socket to which Python writes their
    numbers on arrival.
    """
    arrived = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return
    for number in _SIGNALS:  # they keep the exit status of a process that is ending
        atexit.register(signal.signal, number, signal.SIG_IGN)
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)  # noqa: FBT003 - its only form
        wakeup_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        watcher = threading.Thread(target=_watch, args=(reader, arrived), name="signals", daemon=True)
        watcher.start()
        try:
            with signal_handler(signal.default_int_handler):
                yield arrived
        finally:
            signal.set_wakeup_fd(wakeup_before)
            writer.shutdown(socket.SHUT_WR)
            watcher.join(MOMENT_SECONDS)  # after a signal it goes on: threads of libraries may keep the process alive


@contextmanager
def signal_handler(handler: Any) -> Iterator[None]:
    """Set the handler of SIGINT and SIGTERM for the block; a shell's `&` starts processes with SIGINT ignored."""
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _watch(signals: socket.socket, arrived: threading.Event) -> None:
    """Wait for a signal or the end of the block; after a signal the process has `GRACE_SECONDS` to end."""
    while number := signals.recv(1):
        if number[0] in _SIGNALS:
            arrived.set()
            time.sleep(GRACE_SECONDS)
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), _SHOW_CURSOR)  # a bar hides it
            os.write(sys.stderr.fileno(), f"{STOPPED}\n".encode())
            os._exit(FAILED)
