"""Hostile names in what Dagster shows and what the alerts post: as text alone, for a terminal, a chat and a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import dagster as dg
import pytest
from markdown_it import MarkdownIt

from assets.run_health import Silence
from assets.sensors import build_sensors
from pipeline.api.simulator.rules import make_msg_id
from pipeline.model.settings import given_settings
from tests.security.corpus import CHAT, HTML, MARKDOWN
from tests.support.alerts import Watch, receiving
from tests.support.hostile import Seen, serving
from tests.support.places import opened_place
from tests.support.runs import recorded

pytestmark = pytest.mark.slow
NOW = datetime.now(UTC).replace(microsecond=0)
APPS = (*CHAT[:4], MARKDOWN[0], MARKDOWN[1], HTML[0], "app\x1b[2J|a|\u202e")
"""The platform refuses each; eight lines of an alert of ten."""
LOGS = ("<!channel>\x1b[2J", "![x](evil.example)|a|", "<script>")
"""Logs that are mostly unusable."""


def refuse(_: Seen) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps({"status": "-16", "reason": "<!here>\x1b[2J![x](https://evil.example)"}).encode()


@dataclass(frozen=True)
class Shown:
    """What a run left in Dagster's event log, and what was posted of it."""

    lines: list[str]
    metadata: list[Any]
    posted: list[dict[str, Any]]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("shown")
    sent_at = (NOW - timedelta(hours=2)).isoformat()
    lines = [
        {"msg_id": make_msg_id(NOW, place), "sent_at": sent_at, "app_id": app, "sender_id": app}
        for place, app in enumerate(APPS)
    ]
    (folder / "apps.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name in LOGS:
        (folder / f"{name}.jsonl").write_text('{"a": 1}\n' * 9)
    with (
        opened_place(folder) as place,
        serving(refuse) as (url, _),
        receiving() as receiver,
        recorded(place, api_base_url=url, sent_logs="*.jsonl", alert_webhook=receiver.url) as dagster,
    ):
        settings = given_settings(folder, alert_webhook=receiver.url)
        watches = [Watch(dagster.instance, sensor) for sensor in build_sensors(settings, lambda: settings, Silence())]
        done = dagster.run(NOW.date() - timedelta(days=1), NOW.date())
        assert not done.success
        for watch in watches:
            watch.tick()
        entries = dagster.instance.all_logs(done.run_id)
        texts = [entry.user_message for entry in entries]
        yield Shown(texts, list(_metadata_of(entries)), receiver.posted)


def _metadata_of(entries: Sequence[dg.EventLogEntry]) -> Iterator[dg.MetadataValue[Any]]:
    for event in (entry.dagster_event for entry in entries if entry.dagster_event):
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
            yield from event.step_materialization_data.materialization.metadata.values()
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            yield from event.asset_check_evaluation_data.metadata.values()


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_log_of_a_run_is_text_for_a_terminal(shown: Shown) -> None:
    ours = [line for text in shown.lines for line in text.split("\n") if "evil.example" in line or "channel" in line]
    assert ours
    assert [line for line in ours if not line.isprintable()] == []


def test_markdown_in_metadata_shows_names_and_links_nowhere(shown: Shown) -> None:
    """Before, an app named as an image was loaded from its address by the browser of whoever looked at the run."""
    texts = [value.value for value in shown.metadata if isinstance(value, dg.MarkdownMetadataValue)]
    hostile = [text for text in texts if "evil" in text]
    assert hostile
    for text in hostile:
        page = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text)
        links = _Links()
        links.feed(page)
        assert {tag for tag, _ in links.found} <= {"table", "thead", "tbody", "tr", "th", "td", "code", "strong", "p"}
        assert len({row.count("<td>") for row in re.findall("<tr>.*?</tr>", page, re.DOTALL)} - {0}) == 1
        assert "![x](https://evil.example)" in page
        assert "&lt;script&gt;.jsonl" in page


def test_an_alert_calls_nobody_and_links_nowhere(shown: Shown) -> None:
    (posted,) = [message for message in shown.posted if message["event"] == "run_failures"]
    text = posted["text"]
    assert "&lt;!channel&gt;" in text
    assert "&lt;!here&gt;" in text
    assert not re.search(r"<|@(channel|here|everyone)\b", text)
    assert all(line.isprintable() or "\N{WORD JOINER}" in line for line in text.split("\n"))
    assert "\x1b" not in text
    assert json.dumps(posted)
