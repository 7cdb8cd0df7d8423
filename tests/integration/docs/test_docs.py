"""README and docs agree with the code: generated parts, settings, commands, tables, make targets, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from assets.cli.main import main
from pipeline.model.settings import PREFIX, Settings
from pipeline.model.tables import LAKE_TABLES, SNAPSHOT_INFO
from pipeline.model.views import VIEWS
from tests.support.readme import DOCS, README, ROOT, parts

PAGES: Final = [README, ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "README.md", *sorted(DOCS.glob("*.md"))]
LINK: Final = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", list(parts()))
def test_a_generated_part_is_what_the_code_makes(name: str) -> None:
    part = parts()[name]

    assert part.written() == part.make(), "run `make docs`"


def test_every_setting_is_a_row_of_the_readme_with_its_default() -> None:
    rows = [line for line in README.read_text("utf-8").splitlines() if line.startswith(f"| `{PREFIX}")]
    for name, field in Settings.model_fields.items():
        (row,) = [row for row in rows if f"`{PREFIX}{name.upper()}`" in row.split("|")[1]]
        default = field.get_default()
        documented = row.split("|")[2].strip().strip("`")
        if default in {None, ()}:
            assert documented == "none", name
        elif name == "file_mode":
            assert documented == f"{default:04o}"
        else:
            assert documented == str(default), name


def test_every_setting_that_the_docs_name_exists() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for page in [README, *DOCS.glob("*.md"), ROOT / ".env.example"]:
        named = set(re.findall(rf"\b{PREFIX}[A-Z_]+[A-Z]\b", page.read_text("utf-8")))
        assert named <= known, page.name


def test_every_command_and_option_is_in_the_readme() -> None:
    text = README.read_text("utf-8")
    for name, command in main.commands.items():
        assert f"`sms-delivery {name}" in text, name
        documented = [p for p in command.params if isinstance(p, click.Option)] if name != "simulator" else []
        for option in documented:
            assert option.opts[0] in text, (name, option.opts)


def test_every_make_target_is_in_the_readme() -> None:
    text = README.read_text("utf-8")
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert [target for target in targets if f"`make {target}`" not in text] == ["help"]


def test_every_table_and_view_has_a_section_in_the_page_of_tables() -> None:
    headings = set(HEADING.findall((DOCS / "tables.md").read_text("utf-8")))
    names = [table.name for table in (*LAKE_TABLES, SNAPSHOT_INFO)] + [view.name for view in VIEWS]
    assert {f"`{name}`" for name in names} <= headings


def test_every_page_of_docs_is_linked_from_the_readme() -> None:
    linked = {target.partition("#")[0] for target in _links(README)}
    assert {f"docs/{page.name}" for page in DOCS.glob("*.md")} <= linked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in _links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target), link


def _links(page: Path) -> Iterator[str]:
    for match in LINK.finditer(FENCE.sub("", page.read_text("utf-8"))):
        link = match[1] or match[2]
        if "://" not in link:
            yield link


def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = HEADING.findall(FENCE.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
