"""Use case: write the page from the published file."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from pipeline.lake.queries import literal
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.publish.atomic import written_whole
from pipeline.publish.page.content import PageContent, read_content
from pipeline.publish.page.document import document


def write_page(*, settings: Settings) -> Path:
    """Write the page from the published DuckDB file; return its path.

    Readers find the old page or the new one. Of two writers at once the last one wins.

    Raises:
        LakeError: there is no published file, or the page can't be written.
    """
    path = settings.report
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path, mode=settings.file_mode) as temporary:
            text = document(_read_published(settings, copy=temporary))
            temporary.write_text(text, "utf-8")
    except (OSError, duckdb.Error) as error:
        raise LakeError(f"SMS_REPORT: {path} can't be written: {error}") from error
    return path


def _read_published(settings: Settings, *, copy: Path) -> PageContent:
    """Read the published file, or a copy if an analyst's read-write connection locks it or left a .wal."""
    try:
        return _read(settings.duckdb, settings)
    except duckdb.Error:
        shutil.copyfile(settings.duckdb, copy)
        return _read(copy, settings)


def _read(path: Path, settings: Settings) -> PageContent:
    with duckdb.connect(path, read_only=True) as connection:
        connection.execute(f"SET memory_limit = {literal(settings.memory_limit)}")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("BEGIN TRANSACTION")
        return read_content(connection)
