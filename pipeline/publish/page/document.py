"""Make the HTML of the page: template, number formats, charts with their rows, content security policy.

Pure: text from values. Text from logs is escaped by the template engine in HTML and by `_json_for_script` in scripts.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from pipeline.publish.page.content import (
    BARS_AT_MOST,
    CHANGES,
    DAYS_AT_MOST,
    NAMES_AT_MOST,
    SPAN_DAYS,
    PageContent,
    Row,
    with_others,
)

VEGA: Final = ("vega-6.4.0", "vega-lite-6.4.1", "vega-embed-7.3.0")
"""The chart library, in the order in which its files load."""
SPANS: Final = (28, 90, DAYS_AT_MOST)
"""Spans in days that a reader can choose for the charts by day; the page opens with the middle one."""
_NO_RATE: Final = "-"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def document(content: PageContent) -> str:
    """Make the whole page."""
    scripts = [*(_vega(name) for name in VEGA), _resource("page.js")]
    style = _resource("style.css")
    return _template().render(
        policy=_policy(scripts, style),
        style=style,
        scripts=scripts,
        charts=_json_for_script(_charts(content)),
        config=_json_for_script(json.loads(_resource("charts/config.json"))),
        content=content,
        span_days=SPAN_DAYS,
        spans=SPANS,
        days_at_most=DAYS_AT_MOST,
        names_at_most=NAMES_AT_MOST,
        bars_at_most=BARS_AT_MOST,
        changes=CHANGES,
    )


def _charts(content: PageContent) -> dict[str, dict[str, Any]]:
    """Return each chart with its rows, by the name of its place in the template."""
    span = {"span": SPANS[1]}
    countries, senders = (with_others(rows, BARS_AT_MOST) for rows in (content.countries, content.senders))
    return {
        "delivery_rate": _chart("delivery_rate", content.days, **span, floor=_floor(content.days, "delivery_rate")),
        "outcomes": _chart("outcomes", content.days, **span),
        "countries": _chart("rates_by_name", countries, floor=_floor(countries, "delivery_rate")),
        "senders": _chart("rates_by_name", senders, floor=_floor(senders, "delivery_rate")),
        "latency": _chart("latency", content.days, **span),
        "backlog": _chart("backlog", content.backlog),
        "failures": _chart("failures", content.failures[:BARS_AT_MOST]),
        "changes": _chart("changes", content.changes, floor=_floor(content.changes, "delivery_rate", "usual_rate")),
    }


def _chart(name: str, rows: Sequence[Row], **parameters: float) -> dict[str, Any]:
    chart: dict[str, Any] = json.loads(_resource(f"charts/{name}.json"))
    for parameter in chart.get("params", []):
        if parameter["name"] in parameters:
            parameter["value"] = parameters[parameter["name"]]
    if isinstance(chart["height"], dict):  # a step beside a width that fits its place makes Vega-Lite warn
        chart["height"] = chart["height"]["step"] * len(rows)
    return chart | {"datasets": {"rows": list(rows)}}


def _floor(rows: Iterable[Row], *names: str) -> float:
    """Return the lower end of an axis of rates, in tenths, far enough below the lowest rate for its point to fit."""
    least = min((row[name] for row in rows for name in names if row[name] is not None), default=0.0)
    return max(0.0, int(least * 10 - 0.5) / 10)


def _json_for_script(value: object) -> Markup:
    """Return JSON in ASCII for a script element, with nothing in it that could end the element or begin another."""
    return htmlsafe_json_dumps(value, separators=(",", ":"), allow_nan=False)


def _policy(scripts: Iterable[str], style: str) -> str:
    """Return the content security policy: these scripts and this style alone, and no connection."""
    return (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _vega(name: str) -> str:
    # Without its source map, which a browser would look for beside the page.
    return re.sub(r"\n//# sourceMappingURL=.*", "", _resource(f"vega/{name}.min.js"))


@cache
def _resource(name: str) -> str:
    return files("pipeline.publish.page").joinpath(name).read_text("utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": "{:,}".format, "change": "{:+.1%}".format}
    environment.filters |= {"percent": percent, "duration": duration}
    return environment.from_string(_resource("page.html"))


def percent(rate: float | None, digits: int = 1) -> str:
    """Write a rate of 0 to 1 as a percentage; a dash where there is none."""
    return _NO_RATE if rate is None else f"{rate:.{digits}%}"


def duration(seconds: float | None) -> str:
    """Write seconds in the largest unit of which there is at least one, with one decimal."""
    if seconds is None:
        return _NO_RATE
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if abs(seconds) >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.1f} s"
