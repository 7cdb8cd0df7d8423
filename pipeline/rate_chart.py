"""Draws delivery rates by day as a small picture: bars as text of SVG. Pure; the figures come from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 180
_LEFT, _TOP, _BOTTOM = 40, 10, 28
_PLOT: Final = HEIGHT - _TOP - _BOTTOM
_MATURE, _YOUNG, _INK = "#4477aa", "#99bbdd", "#888888"
_LABEL_WIDTH: Final = 64


def rate_chart(bars: Sequence[tuple[str, float | None, bool]]) -> str:
    """Draw one bar a day from 0 to 100 %, those of young days paler; it reads on light and dark ground.

    Args:
        bars: label, rate in 0 to 1 (None draws no bar), and whether the day is mature, in order.
    """
    step = (WIDTH - _LEFT) / max(len(bars), 1)
    every = max(1, -(-_LABEL_WIDTH // int(max(step, 1))))
    parts = [_grid(share) for share in (0.0, 0.5, 1.0)]
    for place, (label, rate, is_mature) in enumerate(bars):
        left = _LEFT + place * step
        if rate is not None:
            parts.append(_bar(left, step, label, rate, fill=_MATURE if is_mature else _YOUNG))
        if place % every == 0:
            parts.append(_text(left + step / 2, HEIGHT - 10, label, anchor="middle"))
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="11">{body}</svg>'
    )


def _grid(share: float) -> str:
    height = _TOP + _PLOT * (1 - share)
    line = f'<path d="M{_LEFT} {height:.1f}H{WIDTH}" stroke="{_INK}" stroke-opacity=".4"/>'
    return line + _text(_LEFT - 4, height + 4, f"{share:.0%}", anchor="end")


def _bar(left: float, step: float, label: str, rate: float, *, fill: str) -> str:
    height = _PLOT * min(max(rate, 0.0), 1.0)
    return (
        f'<rect x="{left + step * 0.1:.1f}" y="{_TOP + _PLOT - height:.1f}" width="{step * 0.8:.1f}" '
        f'height="{height:.1f}" fill="{fill}"><title>{html.escape(label)}: {rate:.1%}</title></rect>'
    )


def _text(left: float, top: float, text: str, *, anchor: str) -> str:
    return f'<text x="{left:.1f}" y="{top:.1f}" fill="{_INK}" text-anchor="{anchor}">{html.escape(text)}</text>'
