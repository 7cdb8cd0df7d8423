"""One call as the simulator saw it. It holds neither key nor signature, so it can be printed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked, and how it was answered.

    Attributes:
        number: running number among the calls of its name, from 1.
        app_id: as asked, empty where it is missing.
        joined_ids: `msgIds` as asked.
        timestamp: the header `Timestamp` as it came, empty where it is missing.
        arrived: seconds of `time.monotonic()`.
        fault: name of the fault that struck, None for none.
        http_status: of the answer; 0 in a call not answered yet.
        status: envelope status of the answer, None where no whole envelope was given.
        name: last part of the path: which call it was.
    """

    number: int
    app_id: str
    joined_ids: str
    timestamp: str
    arrived: float
    fault: str | None = None
    http_status: int = 0
    status: str | None = None
    name: str = "getReport"

    @property
    def msg_ids(self) -> tuple[str, ...]:
        """The ids in the order asked, empty where `msgIds` is."""
        return tuple(self.joined_ids.split(",")) if self.joined_ids else ()
