"""How the simulator is to behave, as values. Reading them from anywhere is the caller's business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.api.simulator.faults import Faults
from pipeline.api.simulator.incidents import Incident
from pipeline.api.simulator.pushing import PushOptions


@dataclass(frozen=True)
class SimulatorOptions:
    """All that one simulator is told; the secret stays out of its repr.

    Attributes:
        api_key: the only key that is known.
        api_secret: its secret.
        apps: accepted appIds, empty = any.
        unpriced_apps: appIds that get -19.
        window_seconds: how far `Timestamp` may be off, either way.
        allowed_ips: peers that are let in, empty = any.
        latency_ms: added to every call.
        max_requests_per_second: more get -15, after a burst of one second's worth; 0 = no limit.
        price_details: add the sister platform's `pricedetail` to each row.
        incidents: when messages fail more often, or take longer.
        sent: msg_ids by app, in order: what the record of sent messages (getSentRcd) holds.
        record_delay_seconds: how long after its final state a message comes into the record.
        page_rows: most rows of the record a call.
        balance: amounts of getBalance.
        push: where reports are pushed, None = nowhere.
        faults: what goes wrong with calls on purpose.
    """

    api_key: str
    api_secret: str = field(repr=False)
    apps: frozenset[str] = frozenset()
    unpriced_apps: frozenset[str] = frozenset()
    window_seconds: int = 300
    allowed_ips: frozenset[str] = frozenset()
    latency_ms: float = 0.0
    max_requests_per_second: float = 0.0
    price_details: bool = False
    incidents: tuple[Incident, ...] = ()
    sent: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    record_delay_seconds: float = 0.0
    page_rows: int = 50_000
    balance: Mapping[str, str] = field(
        default_factory=lambda: {"balance": "1250.7500", "gift": "10.0000", "credit": "0.0000"}
    )
    push: PushOptions | None = None
    faults: Faults = field(default_factory=Faults)
