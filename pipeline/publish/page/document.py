"""Make the HTML of the page: template, number formats, data of the script, content security policy.

Pure: text from values. Text from logs is escaped by the template engine in HTML and by `_json_for_script` in scripts.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from pipeline.publish.page.changes import ERROR
from pipeline.publish.page.content import PageContent
from pipeline.publish.page.names import Dimension
from pipeline.publish.page.payload import Texts, payload
from pipeline.publish.page.story import WHOLE

SCRIPTS: Final = ("figures", "parts", "page")
"""Files of the script, in their order."""
_NO_RATE: Final = "-"


def document(content: PageContent, texts: Texts) -> str:
    """Make the whole page."""
    script, style = _script(), _resource("style.css")
    return _template().render(
        policy=_policy(script, style),
        style=style,
        script=script,
        data=_json_for_script(payload(content, texts)),
        content=content,
        sentences=texts[content.timeline.first_span, WHOLE],
        tables=[_table(dimension, content) for dimension in content.dimensions if not dimension.is_outcome],
        error=ERROR,
    )


def _table(dimension: Dimension, content: PageContent) -> dict[str, Any]:
    """Return a table for readers without scripts: the rows of a dimension over the first span."""
    span = content.timeline.spans[content.timeline.first_span]
    counts = content.series[dimension.key][:, span.start : span.end].sum(axis=1)
    rows = [
        {"name": dimension.name(row), "sent": int(sent), "rate": delivered / sent if sent > pending else None}
        for row, (sent, delivered, pending) in enumerate(counts[:, [0, 1, -1]].tolist())
    ]
    return {"title": dimension.title, "one": dimension.one, "rows": rows}


def _json_for_script(value: object) -> Markup:
    """Return JSON in ASCII for a script element, with nothing in it that could end the element or begin another."""
    return htmlsafe_json_dumps(value, separators=(",", ":"), allow_nan=False)


def _policy(script: str, style: str) -> str:
    """Return the content security policy: this script and this style alone, and no connection."""
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _script() -> str:
    """Return the script: its files share names, and leave none to the page."""
    return f'(() => {{\n"use strict";\n{"".join(_resource(f"script/{name}.js") for name in SCRIPTS)}}})();'


@cache
def _resource(name: str) -> str:
    return files("pipeline.publish.page").joinpath(name).read_text("utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": "{:,}".format, "percent": percent}
    return environment.from_string(_resource("page.html"))


def percent(rate: float | None, digits: int = 1) -> str:
    """Write a rate of 0 to 1 as a percentage; a dash where there is none."""
    return _NO_RATE if rate is None else f"{rate:.{digits}%}"
