"""Use case: bring the newest published file from its bucket, or its page, to a path.

Belongs here: the place of what is brought. Does not: the bucket (`bucket.py`), putting data inside (`export.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from pipeline.lake.atomic import written_whole
from pipeline.lake.lake import Lake
from pipeline.lake.opening import use_mode
from pipeline.model.errors import LakeError, SettingsError
from pipeline.model.progress import Progress, untold
from pipeline.model.settings import Settings
from pipeline.publish.bucket import PAGE, PublishedBucket, published_bucket
from pipeline.publish.contents import WRITE_BITS
from pipeline.publish.export import Days, export
from pipeline.publish.reading import copy_published

_Result = TypeVar("_Result")


def fetch_file(path: Path, *, settings: Settings) -> None:
    """Bring the newest published file; what is at the path is replaced, whole or not at all.

    Raises:
        SettingsError: the published file is in no bucket, or the path can't be written.
        LakeError: nothing is published, or the store gives no usable answer.
    """
    _bucket_of(settings)
    mode = settings.file_mode & ~WRITE_BITS
    _write(path, lambda file: copy_published(settings, file), settings=settings, mode=mode)


def fetch_data(
    path: Path, *, days: Days, lake: Lake, settings: Settings, on_progress: Progress = untold
) -> dict[str, int]:
    """Bring the newest published file with its data of some days inside, as `fetch_file` does; return the rows of each.

    Raises:
        SettingsError: as for `fetch_file`, or no message was sent on these days.
        LakeError: as for `fetch_file`.
    """
    _bucket_of(settings)
    work = partial(export, days=days, lake=lake, settings=settings, on_progress=on_progress)
    return _write(path, work, settings=settings, mode=settings.file_mode)


def fetch_page(path: Path, *, settings: Settings) -> None:
    """Bring the page of the newest published file, as `fetch_file` does."""
    bucket = _bucket_of(settings)

    def brought(file: Path) -> None:
        if (found := bucket.store.read(PAGE)) is None:
            raise LakeError(f"SMS_DUCKDB: there is no {bucket.store.url}/{PAGE}; `sms-delivery publish` makes it")
        file.write_bytes(found[0])

    _write(path, brought, settings=settings, mode=settings.file_mode)


def _bucket_of(settings: Settings) -> PublishedBucket:
    if (bucket := published_bucket(settings)) is None:
        text = "is no URL of a bucket, from which the newest file could be brought; connect to"
        raise SettingsError(f"SMS_DUCKDB: {text} {settings.duckdb}")
    return bucket


def _write(path: Path, write: Callable[[Path], _Result], *, settings: Settings, mode: int) -> _Result:
    use_mode(settings.file_mode)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path, mode=mode) as temporary:
            result = write(temporary)
            path.with_name(f"{path.name}.wal").unlink(missing_ok=True)  # of a read-write connection to the file before
    except OSError as error:
        raise SettingsError(f"FILE: {path} can't be written: {error.strerror or error}") from error
    return result
