"""SIGINT and SIGTERM as an event of the loop, so that a run ends with a commit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Coroutine, Iterator


@contextlib.contextmanager
def signals_caught() -> Iterator[asyncio.Event]:
    """Give an event that SIGINT and SIGTERM set, if this is the main thread; restore their handlers afterwards.

    A wakeup file descriptor that was set before (`signal.set_wakeup_fd`) still gets every signal.
    """
    interrupted = asyncio.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    loop = asyncio.get_running_loop()
    wakeup = signal.set_wakeup_fd(-1)  # the loop puts its own in its place

    def note(number: int) -> None:
        interrupted.set()
        with contextlib.suppress(OSError):
            os.write(wakeup, bytes([number]))

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        loop.add_signal_handler(number, note, number)
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)


async def run_until(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Run some work to its end; where `stop` is set, cancel it and return."""
    running = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not running.done():
        running.cancel()
    try:
        await running
    except asyncio.CancelledError:
        return
    except BaseExceptionGroup as errors:  # the first is why; the rest were cancelled for it
        raise errors.exceptions[0] from errors
