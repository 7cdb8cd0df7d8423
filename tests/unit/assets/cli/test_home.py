"""The folder of the run history is never among copies of a bucket, which may be deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from assets.cli.home import home_of
from pipeline.model.settings import Settings

BUCKET = {"lake": "s3://bucket/lake", "duckdb": "s3://bucket/analytics.duckdb"}


def test_it_is_beside_what_is_local(settings: Callable[..., Settings], tmp_path: Path) -> None:
    local = {"lake": "a/lake", "duckdb": "b/analytics.duckdb", "report": "c/report.html"}
    assert home_of(settings(**local)) == tmp_path / "a" / "dagster"
    assert home_of(settings(**local | {"lake": BUCKET["lake"]})) == tmp_path / "b" / "dagster"
    assert home_of(settings(**local | BUCKET)) == tmp_path / "c" / "dagster"
