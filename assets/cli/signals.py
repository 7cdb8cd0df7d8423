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
_MOMENT_SECONDS: Final = 0.1
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether a signal arrived."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    @property
    def was_asked(self) -> bool:
        """Return whether a signal arrived; waits a moment for one that is being delivered."""
        return self._asked.wait(_MOMENT_SECONDS)

    def watch(self, signals: socket.socket) -> None:
        """Wait for a signal or the end of the block; after a signal the process has `GRACE_SECONDS` to end."""
        while number := signals.recv(1):
            if number[0] in _SIGNALS:
                self._asked.set()
                time.sleep(GRACE_SECONDS)
                os.write(sys.stderr.fileno(), f"{STOPPED}\n".encode())
                os._exit(FAILED)


@contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """Let SIGINT and SIGTERM raise `KeyboardInterrupt` in the block; end the process if it is still there afterwards.

    Python runs a signal handler between two bytecodes, and a query of DuckDB is one bytecode, however long; DuckDB also
    swallows the exception of a handler. So a thread reads signals too, from the socket to which Python writes their
    numbers on arrival.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    atexit.register(_ignore_signals)
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)  # noqa: FBT003 - its only form
        wakeup_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        watcher = threading.Thread(target=stop.watch, args=(reader,), name="signals", daemon=True)
        watcher.start()
        try:
            with signal_handler(signal.default_int_handler):
                yield stop
        finally:
            signal.set_wakeup_fd(wakeup_before)
            writer.shutdown(socket.SHUT_WR)
            watcher.join(_MOMENT_SECONDS)  # after a signal it goes on: threads of libraries may keep the process alive


@contextmanager
def signal_handler(handler: Any) -> Iterator[None]:
    """Set the handler of SIGINT and SIGTERM for the block; a shell's `&` starts processes with SIGINT ignored."""
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _ignore_signals() -> None:
    """Keep the exit status of a process that is ending."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
