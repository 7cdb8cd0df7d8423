"""Signals that end a command: in order where that is quick, else at once, and with status 1 and one line either way.

Ending at once is safe: the lake is made for processes that die. What asks the API (`pipeline/follow/workers.py`)
commits them first.
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
from typing import Final

GRACE_SECONDS: Final = 8.0
"""Time from the signal in which a command may end in order."""
FAILED: Final = 1
STOPPED: Final = "sms-delivery: stopped by a signal; what had arrived is committed, run again for the rest"
_MOMENT_SECONDS: Final = 0.1
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether a signal asked for the end."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    @property
    def was_asked(self) -> bool:
        """Say whether a signal came; one of this moment counts."""
        return self._asked.wait(_MOMENT_SECONDS)

    def watch(self, told: socket.socket) -> None:
        """Wait for a signal or the end of the block; after a signal the process has `GRACE_SECONDS` to end."""
        while number := told.recv(1):
            if number[0] in _SIGNALS:
                self._asked.set()
                time.sleep(GRACE_SECONDS)
                os.write(sys.stderr.fileno(), f"{STOPPED}\n".encode())
                os._exit(FAILED)


@contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """Let SIGINT and SIGTERM raise `KeyboardInterrupt` in the block, and end the process if that does not end it.

    Python handles a signal between two steps of its own; a query of DuckDB is one step, however long, and one that
    notices the signal swallows what a handler raises. So a thread is told of signals too, through the socket to
    which Python writes their numbers as they arrive.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    atexit.register(_ignore_signals)
    told, tell = socket.socketpair()
    with told, tell:
        tell.setblocking(False)  # noqa: FBT003 - its only form
        before = {number: signal.signal(number, signal.default_int_handler) for number in _SIGNALS}
        told_before = signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
        watcher = threading.Thread(target=stop.watch, args=(told,), name="signals", daemon=True)
        watcher.start()
        try:
            yield stop
        finally:
            signal.set_wakeup_fd(told_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            tell.shutdown(socket.SHUT_WR)
            watcher.join(_MOMENT_SECONDS)  # after a signal it lives on: threads of libraries may keep the process


def _ignore_signals() -> None:
    """Let a process that is at its end keep its own status."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
