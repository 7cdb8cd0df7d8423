"""Write the page from the published file, swapped in whole."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import duckdb

from pipeline.lake.queries import literal
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.publish.page.document import document
from pipeline.publish.page.figures import Figures, read_figures


def write_page(*, settings: Settings) -> Path:
    """Write the page from the published DuckDB file; return its path.

    Whoever reads meanwhile finds the old page or the new one, whole. Of two writers the last one stays.

    Raises:
        LakeError: there is no published file, or the page can't be written.
    """
    path = settings.report
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = document(_figures(settings, copy=beside))
        beside.write_text(text, "utf-8")
        beside.chmod(settings.file_mode)
        beside.replace(path)
    except (OSError, duckdb.Error) as error:
        raise LakeError(f"SMS_REPORT: {path} can't be written: {error}") from error
    finally:
        beside.unlink(missing_ok=True)
    return path


def _figures(settings: Settings, *, copy: Path) -> Figures:
    """Read the published file; a copy where an analyst's read-write connection locks it or left a log."""
    try:
        return _read(settings.duckdb, settings)
    except duckdb.Error:
        shutil.copyfile(settings.duckdb, copy)
        return _read(copy, settings)


def _read(path: Path, settings: Settings) -> Figures:
    with duckdb.connect(path, read_only=True) as connection:
        connection.execute(f"SET memory_limit = {literal(settings.memory_limit)}")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("BEGIN TRANSACTION")
        return read_figures(connection)
