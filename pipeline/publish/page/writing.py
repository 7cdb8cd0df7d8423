"""Use case: write the page from the published file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb

from pipeline.lake.atomic import remove_leftovers, written_whole
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.publish.bucket import published_bucket
from pipeline.publish.page.content import read_content
from pipeline.publish.page.document import document
from pipeline.publish.page.story import read_story
from pipeline.publish.reading import copy_published, opened_copy, show_published

_TRIES: Final = 20
_VIEWS: Final = ("account_runway",)
"""Ready-made views that the queries of `sql/page/` read."""


def write_page(*, settings: Settings) -> Path:
    """Write the page from the published DuckDB file; return its path. Beside a file in a bucket it is put, too.

    Readers find the old page or the new one; in a bucket it is the page of the newest file. The caller holds the lock
    `PUBLISHING` of the lake: what a writer left that died is removed.

    Raises:
        LakeError: there is no published file, or the page can't be written.
    """
    bucket = published_bucket(settings)
    if bucket is None:
        return _written(settings)
    for _ in range(_TRIES):
        shown = bucket.known_newest()
        if bucket.put_page(_written(settings), shown):
            break
    return settings.report


def _written(settings: Settings) -> Path:
    path = settings.report
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        with written_whole(path, mode=settings.file_mode) as temporary:
            copy_published(settings, temporary)
            temporary.write_text(_page(temporary, settings), "utf-8")
    except (OSError, duckdb.Error) as error:
        raise LakeError(f"SMS_REPORT: {path} can't be written: {error}") from error
    return path


def _page(path: Path, settings: Settings) -> str:
    with opened_copy(path, settings) as connection:
        show_published(connection, settings.lake, views=_VIEWS)
        content = read_content(connection)
        return document(content, read_story(connection, content))
