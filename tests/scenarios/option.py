"""A pytest plugin, loaded with `-p tests.scenarios.option`: how many worlds the slow tests play."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--worlds`."""
    parser.addoption("--worlds", type=int, help="worlds that the slow tests of test_worlds.py play, all together")
