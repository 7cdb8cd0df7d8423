"""Views whose text names objects of a bucket, while DuckDB reads this machine's copies of them.

Belongs here: the file system of a bucket's scheme that DuckDB is given. Does not: which views there are.

DuckDB opens a file of a view when the view is created, and has no extension for buckets here. Whoever opens the
published file elsewhere reads the objects themselves.
"""

from __future__ import annotations

import os
from datetime import datetime
from io import SEEK_CUR, SEEK_END, SEEK_SET, FileIO
from pathlib import Path
from threading import get_ident
from typing import Any, BinaryIO, ClassVar

from fsspec import AbstractFileSystem

from pipeline.lake.copies import Copies


class _Copy(FileIO):
    """A copy that several threads of DuckDB read through one handle, and that it drops without closing it.

    DuckDB seeks and then reads, and other threads may come between the two: each thread has a place of its own.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._size = path.stat().st_size
        self._places: dict[int, int] = {}  # by thread

    def __del__(self) -> None:
        self.close()

    def tell(self) -> int:
        """Return where this thread reads next."""
        return self._places.get(get_ident(), 0)

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        """Set where this thread reads next."""
        at = offset + {SEEK_SET: 0, SEEK_CUR: self.tell(), SEEK_END: self._size}[whence]
        self._places[get_ident()] = at
        return at

    def read(self, size: int | None = -1, /) -> bytes:
        """Return as many bytes from there, fewer only at the end."""
        at, parts = self.tell(), bytearray()
        wanted = self._size - at if size is None or size < 0 else size
        while len(parts) < wanted and (part := os.pread(self.fileno(), wanted - len(parts), at + len(parts))):
            parts += part
        self._places[get_ident()] = at + len(parts)
        return bytes(parts)


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
        return _Copy(self._copy(path))

    def _copy(self, path: str) -> Path:
        url = self._copies.store.url
        inside = path.partition("://")[2] if "://" in path else path
        copy = self._copies.folder / inside.removeprefix(f"{url.partition('://')[2]}/")
        self._copies.bring({copy: 0})
        return copy
