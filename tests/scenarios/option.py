"""Pytest plugin, loaded with `-p tests.scenarios.option`: how many worlds the thorough tests play."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--worlds`."""
    parser.addoption("--worlds", type=int, help="number of worlds that the thorough tests of test_worlds.py play")
