"""README and behaviour agree: generated parts, settings, commands."""

from __future__ import annotations

import click
import pytest

from assets.cli.main import main
from pipeline.model.settings import PREFIX, Settings
from tests.support.readme import README, part, parts


@pytest.mark.parametrize("name", list(parts()))
def test_a_generated_part_of_the_readme_is_what_the_code_says(name: str) -> None:
    assert part(README.read_text("utf-8"), name) == parts()[name]()


def test_every_setting_is_a_row_of_the_readme_with_its_default() -> None:
    text = README.read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith(f"| `{PREFIX}")]
    for name, field in Settings.model_fields.items():
        (row,) = [row for row in rows if f"`{PREFIX}{name.upper()}`" in row.split("|")[1]]
        default = field.get_default()
        said = row.split("|")[2].strip().strip("`")
        if default in {None, ()}:
            assert said == "none", name
        elif name == "file_mode":
            assert said == f"{default:04o}"
        else:
            assert said == str(default), name


def test_every_command_and_option_is_in_the_readme() -> None:
    text = README.read_text("utf-8")
    for name, command in main.commands.items():
        assert f"`sms-delivery {name}" in text, name
        documented = [p for p in command.params if isinstance(p, click.Option)] if name != "simulator" else []
        for option in documented:
            assert option.opts[0] in text, (name, option.opts)
