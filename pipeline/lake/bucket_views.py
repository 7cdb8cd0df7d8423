"""Views whose text names objects of a bucket, while DuckDB reads this machine's copies of them.

Belongs here: the file system of a bucket's scheme that DuckDB is given. Does not: which views there are.

DuckDB opens a file of a view when the view is created, and has no extension for buckets here. Whoever opens the
published file elsewhere reads the objects themselves.
"""

from __future__ import annotations

from datetime import datetime
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from fsspec import AbstractFileSystem

from pipeline.lake.copies import Copies


class _Dropped(BufferedReader):
    """A file that DuckDB drops without closing it."""

    def __del__(self) -> None:
        self.close()


class CopiedObjects(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Objects by their URLs, read from copies, which are brought when they are opened."""

    cachable: ClassVar[bool] = False
    protocol: ClassVar[tuple[str, ...]] = ("s3", "gs", "az")

    def __init__(self, copies: Copies) -> None:
        super().__init__()
        self._copies = copies

    def glob(self, path: str, **_: Any) -> list[str]:
        """Return the path itself: views name each object."""
        return [path]

    def exists(self, path: str, **_: Any) -> bool:  # noqa: ARG002 - fsspec's signature
        """Say yes: an object that is missing is said when it is opened."""
        return True

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return name and size."""
        return {"name": path, "size": self._copy(path).stat().st_size, "type": "file"}

    def modified(self, path: str) -> datetime:  # noqa: ARG002 - as above
        """Return the same for all: objects never change."""
        return datetime.fromtimestamp(0)  # noqa: DTZ006 - DuckDB's interface takes it without a zone

    def _open(self, path: str, **_: Any) -> BinaryIO:
        return _Dropped(FileIO(self._copy(path)))

    def _copy(self, path: str) -> Path:
        url = self._copies.store.url
        inside = path.partition("://")[2] if "://" in path else path
        copy = self._copies.folder / inside.removeprefix(f"{url.partition('://')[2]}/")
        self._copies.bring({copy: 0})
        return copy
