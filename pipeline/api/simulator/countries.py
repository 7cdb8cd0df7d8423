"""The countries of the simulated world, as data. How a message meets its fate is in `rules`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Country:
    """What the simulator knows of one country's networks.

    Attributes:
        iso: ISO 3166-1 alpha-2 code.
        calling_code: international calling code, digits only.
        prefixes: beginnings of mobile numbers after the calling code, all equally frequent;
            every number made from them is valid for the country in `phonenumbers`.
        random_digits: how many digits follow the prefix.
        weight: messages of this country in 1000.
        failed_share: part of the final messages that fail, 0 to 1.
        median_seconds: median time from leaving the queue to the final state.
        sigma: standard deviation of that time's natural logarithm (log-normal).
        price: of one message, decimal text, USD.
    """

    iso: str
    calling_code: str
    prefixes: tuple[str, ...]
    random_digits: int
    weight: int
    failed_share: float
    median_seconds: float
    sigma: float
    price: str


COUNTRIES: tuple[Country, ...] = (
    Country("IN", "91", ("98450", "98860", "99020", "81230", "70110"), 5, 240, 0.040, 6.0, 1.2, "0.0042"),
    Country("BR", "55", ("1198", "1199", "2197", "3198", "8199"), 7, 150, 0.060, 9.0, 1.2, "0.0085"),
    Country("ID", "62", ("812", "813", "821", "852", "857", "878"), 8, 130, 0.080, 14.0, 1.3, "0.0190"),
    Country("NG", "234", ("803", "806", "813", "816", "703", "706"), 7, 100, 0.170, 45.0, 1.5, "0.0230"),
    Country("US", "1", ("2125", "3104", "4157", "6463", "7024", "7865", "9172"), 6, 90, 0.020, 3.0, 0.8, "0.0071"),
    Country("MX", "52", ("551", "554", "331", "811", "222"), 7, 70, 0.070, 8.0, 1.1, "0.0120"),
    Country("GB", "44", ("7400", "7412", "7460", "7715", "7720", "7850"), 6, 60, 0.025, 3.5, 0.9, "0.0310"),
    Country("DE", "49", ("1511", "1512", "1522", "1573", "1577"), 7, 60, 0.015, 4.0, 0.9, "0.0640"),
    Country("PH", "63", ("917", "918", "905", "906", "927", "928"), 7, 60, 0.110, 20.0, 1.4, "0.0150"),
    Country("VN", "84", ("90", "91", "98", "32", "33", "77"), 7, 40, 0.090, 16.0, 1.3, "0.0280"),
)
"""Every country; the weights sum to 1000."""

ENDLESS_SHARE = 0.004
"""Part of all messages that never become final: 0 to 1."""

NEVER_LISTED_SHARE = 0.5
"""Part of the endless ones that never leave the queue; the others stay `sending`."""

SLOW_SHARE = 0.02
"""Part of all messages whose phone is off: their final state comes hours later."""

SLOW_MEAN_SECONDS = 7200.0
"""Mean of what a slow message takes longer (exponential)."""

QUEUE_MEAN_SECONDS = 4.0
"""Mean time between sending and leaving the queue (exponential)."""

LONGEST_SECONDS = 47 * 3600
"""No message takes longer than this from the queue to its final state."""
