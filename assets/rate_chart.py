"""Draws delivery rates by day as a small picture, in few characters of SVG. Pure; the figures come from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

DAYS: Final = 28
"""Most days that are drawn."""
_LEFT: Final = 36
_STEP: Final = 14
_TOP: Final = 10
_PERCENT: Final = 1.5
"""Height of one percent."""
_MATURE, _YOUNG, _INK = "#47a", "#9bd", "#888"


def rate_chart(bars: Sequence[tuple[float | None, bool]]) -> str:
    """Draw one bar a day from 0 to 100 %, those of young days paler; it reads on light and dark ground.

    Args:
        bars: of each day the rate in 0 to 1 (None draws no bar) and whether it is mature, in order; at most `DAYS`
            are drawn, the last.
    """
    shown = list(enumerate(bars[-DAYS:]))
    foot = _TOP + 100 * _PERCENT
    width = _LEFT + _STEP * max(len(shown), 10)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{foot + 8:g}' font-size='11' fill='{_INK}'>"
        f"<text y='{_TOP + 4}'>100%</text><text y='{foot:g}'>0</text>"
        f"<path stroke='{_INK}' d='M{_LEFT} {_TOP}H{width}M{_LEFT} {foot:g}H{width}'/>"
        f"{_bars(shown, foot, is_mature=True)}{_bars(shown, foot, is_mature=False)}</svg>"
    )


def _bars(shown: Sequence[tuple[int, tuple[float | None, bool]]], foot: float, *, is_mature: bool) -> str:
    """Draw the bars of one kind as strokes of one path."""
    strokes = "".join(
        f"M{_LEFT + _STEP * place + _STEP // 2} {foot:g}v-{100 * _PERCENT * min(max(rate, 0.0), 1.0):.0f}"
        for place, (rate, mature) in shown
        if rate is not None and mature is is_mature
    )
    return f"<path stroke='{_MATURE if is_mature else _YOUNG}' stroke-width='10' d='{strokes}'/>" if strokes else ""
