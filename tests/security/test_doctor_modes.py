"""What doctor says of owners, modes, keys and proxies: one line each, with what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.maintain.doctor import Finding, examine, exit_status, finding_line
from pipeline.model.settings import Settings
from pipeline.publish.cache import cache_folder
from pipeline.publish.database import publish
from pipeline.publish.page.writing import write_page
from tests.support.lakes import Sent, store_sent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "0123456789abcdef" * 2


@pytest.fixture
def published(settings: Callable[..., Settings], tmp_path: Path) -> Iterator[Settings]:
    """Publish a lake of one message."""
    before = os.umask(0o077)
    chosen = settings(lake="lake", numbers="hash", numbers_key=KEY, api_base_url="http://127.0.0.1:1/sms", app_id="a")
    lake = Lake.open(tmp_path / "lake", mode=chosen.file_mode, recorded=chosen.recorded)
    store_sent(lake, [Sent("1", NOON)])
    derive_messages([NOON.date()], lake=lake, settings=chosen, now=NOON)
    derive_rates([NOON.date()], lake=lake, settings=chosen, now=NOON)
    publish(lake=lake, settings=chosen, now=NOON)
    write_page(settings=chosen)
    yield chosen
    os.umask(before)


def look(settings: Settings) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(settings, now=NOON)}


def test_each_place_has_a_line_with_owner_and_mode(published: Settings) -> None:
    found = look(published)
    owner = Path.home().owner() if os.geteuid() else "root"
    assert found["lake files"].text == f"{published.lake} belongs to {owner}, mode 0750"
    assert found["published"].text == f"{published.duckdb} belongs to {owner}, mode 0440"
    assert found["page"].text == f"{published.report} belongs to {owner}, mode 0640"
    assert found["cache"].text == f"{cache_folder(published.lake)} is yours alone"
    assert found["proxy"].text == "none is used for 127.0.0.1"
    assert found["numbers"].text.startswith("SMS_NUMBERS=hash; SMS_NUMBERS_KEY has 32 characters and the lake's finger")
    assert all(found[subject].ok for subject in ("lake files", "published", "page", "cache", "numbers"))
    assert KEY not in "".join(map(finding_line, found.values()))


@pytest.mark.parametrize("subject", ["published", "page", "versions"])
def test_what_others_can_change_is_to_be_fixed(published: Settings, subject: str) -> None:
    paths = {"page": published.report, "published": published.duckdb.resolve()}
    path = paths.get(subject, published.duckdb.resolve().parent)
    path.chmod(0o777)
    found = look(published)
    wrong = found["published" if subject == "versions" else subject]
    assert (wrong.ok, wrong.is_setting) == (False, True)
    assert wrong.text.endswith("can be changed by every user; chmod go-w it")
    assert exit_status([wrong]) == 2


@pytest.mark.parametrize("subject", ["page", "published", "lake files"])
def test_numbers_that_every_user_can_read_are_noted(published: Settings, subject: str) -> None:
    paths = {"page": published.report, "published": published.duckdb.resolve(), "lake files": published.lake}
    paths[subject].chmod(0o755)
    said = look(published)[subject]
    assert (said.ok, said.is_advice) == (True, True)
    assert "every user can read it and the phone numbers in it: chmod o-rwx it" in said.text


def test_a_cache_that_others_can_read_is_noted(published: Settings) -> None:
    cache_folder(published.lake).chmod(0o750)
    said = look(published)["cache"]
    assert said.is_advice
    assert "is not yours alone: it is not read" in said.text


@pytest.mark.usefixtures("published")
def test_another_key_is_named_beside_the_numbers(settings: Callable[..., Settings]) -> None:
    other = settings(lake="lake", numbers="hash", numbers_key=KEY[::-1], api_base_url="http://127.0.0.1:1/sms")
    wrong = look(other)["numbers"]
    assert (wrong.ok, wrong.is_setting) == (False, True)
    assert wrong.text.startswith("SMS_NUMBERS_KEY: its fingerprint is not the one in the lake")


def test_a_proxy_of_the_environment_is_noted(
    published: Settings, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    chosen = settings(lake="lake", numbers="hash", numbers_key=KEY, api_base_url="https://api.example.com/sms")
    said = look(chosen)["proxy"]
    assert said.is_advice
    assert "NO_PROXY=api.example.com avoids it" in said.text
    assert look(published)["proxy"].text == "none is used for 127.0.0.1"
