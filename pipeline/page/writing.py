"""Write the page from the published file, swapped in whole."""

from __future__ import annotations

import uuid
from pathlib import Path

import duckdb

from pipeline.errors import LakeError
from pipeline.page.document import document
from pipeline.page.figures import read_figures
from pipeline.settings import Settings
from pipeline.warehouse import literal


def write_page(*, settings: Settings) -> Path:
    """Write the page from the published DuckDB file; return its path.

    Whoever reads meanwhile finds the old page or the new one, whole. Of two writers the last one stays.

    Raises:
        LakeError: there is no published file, or the page can't be written.
    """
    path = settings.report
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with duckdb.connect(settings.duckdb, read_only=True) as connection:
            connection.execute(f"SET memory_limit = {literal(settings.memory_limit)}")
            connection.execute("SET TimeZone = 'UTC'")
            text = document(read_figures(connection))
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, "utf-8")
        beside.chmod(settings.file_mode)
        beside.replace(path)
    except (OSError, duckdb.Error) as error:
        beside.unlink(missing_ok=True)
        raise LakeError(f"SMS_REPORT: {path} can't be written: {error}") from error
    return path
