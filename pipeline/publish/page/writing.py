"""Use case: write the page from the published file."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from pipeline.lake.atomic import written_whole
from pipeline.lake.queries import literal
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
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
            shutil.copyfile(settings.duckdb, temporary)  # an analyst's read-write connection locks the published file
            temporary.write_text(document(_read(temporary, settings)), "utf-8")
    except (OSError, duckdb.Error) as error:
        raise LakeError(f"SMS_REPORT: {path} can't be written: {error}") from error
    return path


def _read(path: Path, settings: Settings) -> PageContent:
    with duckdb.connect(path, read_only=True) as connection:
        connection.execute(f"SET memory_limit = {literal(settings.memory_limit)}")
        connection.execute("SET TimeZone = 'UTC'")
        return read_content(connection)
