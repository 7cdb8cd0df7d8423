"""A bucket as the store of a lake: files that never change, and small texts that are changed on a condition.

Belongs here: put, fetch, list, delete, and the two conditions: "unless it exists", "unless it was changed". Does not:
what the objects mean (`copies.py`, `texts.py`), what an error of the store means (`store_errors.py`).

A request whose response is lost may have been carried out. Files have names of their own, so putting one again does no
harm. Of a text that was to be created, the store is asked what is there.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pipeline.lake.store_errors import (
    AlreadyThereError,
    ChangedMeanwhileError,
    StoreBusyError,
    UncertainError,
    translated,
)
from pipeline.model.errors import SettingsError
from pipeline.model.settings import LOOPBACK_HOSTS, is_loopback, store_variables

if TYPE_CHECKING:
    from obstore.store import ObjectStore

AT_ONCE: Final = 8
"""Requests side by side."""
_PART_BYTES: Final = 8 * 2**20
"""Larger files are put in parts of this size, one after the other: `AT_ONCE` of them are in memory."""
_CONNECT_SECONDS, _REQUEST_SECONDS = 5, 60
_TRIES: Final = 4
_DIRECT: Final = {"proxy_url": "http://127.0.0.1", "proxy_excludes": ",".join(sorted(LOOPBACK_HOSTS))}
"""Options of a loopback store: a proxy that it does not use, or those of the environment would see its requests."""
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Stored:
    """An object in the store: its name below the store's URL, bytes, ETag, and when it was put."""

    name: str
    size: int
    tag: str
    modified: datetime


@dataclass(frozen=True)
class Store:
    """The objects below a URL.

    Each method raises SettingsError where the store refuses (credentials, bucket, right), and LakeError where it gives
    no usable answer, after some tries.

    Attributes:
        url: `s3://bucket/path`, or the same with `gs` or `az`.
        setting: name of the setting that has the URL, which errors begin with.
    """

    url: str
    setting: str = "SMS_LAKE"

    @cached_property
    def _objects(self) -> ObjectStore:
        try:
            from obstore.store import from_url  # noqa: PLC0415 - optional, and a lake in a folder never needs it
        except ImportError:
            hint = "needs obstore: pip install 'sms-delivery[s3]'"
            raise SettingsError(f"{self.setting}: a URL {hint}") from None
        variables = {name.lower(): value for name, value in store_variables(self.url).items()}
        options = {"timeout": f"{_REQUEST_SECONDS}s", "connect_timeout": f"{_CONNECT_SECONDS}s"}
        if "aws_endpoint_url_s3" in variables:
            variables["aws_endpoint_url"] = variables.pop("aws_endpoint_url_s3")
        is_local = any(is_loopback(value) for name, value in variables.items() if "endpoint" in name)
        allowed = [variables.pop(name) for name in sorted(variables) if name.endswith("_allow_http")]
        options["allow_http"] = "true" if is_local else (allowed or ["false"])[0].lower()
        if is_local:
            options |= _DIRECT
        backoff = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=4), "base": 2}
        retry = {"max_retries": 6, "retry_timeout": timedelta(seconds=90), "backoff": backoff}
        parts: Any = {"config": variables, "client_options": options, "retry_config": retry}  # each scheme has its type
        with self._errors():
            found: ObjectStore = from_url(self.url, **parts)
            return found

    def renew(self) -> None:
        """Read the variables again when the store is asked next: credentials change while a process lives."""
        self.__dict__.pop("_objects", None)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with translated(self.setting, self.url):
            yield

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return an object's content and ETag; None if there is none."""
        return _repeated(lambda: self._read(name))

    def _read(self, name: str) -> tuple[bytes, str] | None:
        try:
            with self._errors():
                found = self._objects.get(name)
                return bytes(found.bytes()), found.meta["e_tag"] or ""
        except FileNotFoundError:
            return None

    def fetch(self, name: str, path: Path, *, mode: int) -> int:
        """Bring an object to a local path, whole or not at all; return its bytes.

        Raises:
            FileNotFoundError: there is none.
        """
        beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            size = _repeated(lambda: self._stream(name, beside))
            beside.chmod(mode)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        return size

    def _stream(self, name: str, path: Path) -> int:
        with self._errors(), path.open("wb") as file:
            found = self._objects.get(name)
            for part in found.stream():
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            if file.tell() != found.meta["size"]:
                raise StoreBusyError(f"{self.setting}: {self.url}: an answer of the store was cut")
            return file.tell()

    def put(self, name: str, content: bytes | Path, *, content_type: str | None = None) -> str:
        """Put an object, whatever is there, with a Content-Type if one is given; return its ETag."""
        return _repeated(lambda: self._put(name, content, content_type))

    def _put(self, name: str, content: bytes | Path, content_type: str | None) -> str:
        told: Any = {"attributes": {"Content-Type": content_type}} if content_type else {}
        with self._errors():
            found = self._objects.put(name, content, chunk_size=_PART_BYTES, max_concurrency=1, **told)
            return found["e_tag"] or ""

    def create(self, name: str, content: bytes) -> str:
        """Put an object unless there is one; return its ETag. The content is like no other writer's.

        Raises:
            FileExistsError: there is another one.
            UncertainError: the store does not say whether it was put; it may still be carried out.
        """
        for attempt in range(_TRIES):
            try:
                with self._errors():
                    return self._objects.put(name, content, mode="create")["e_tag"] or ""
            except AlreadyThereError:
                return self._ours(name, content)
            except StoreBusyError as error:
                if self._is_there(name, error):
                    return self._ours(name, content)
            _pause(attempt)
        raise UncertainError(f"{self.setting}: {self.url}: it is not known whether {name} was put")

    def _ours(self, name: str, content: bytes) -> str:
        """Return the ETag of an object that is there if it is ours: the response to our put was lost."""
        try:
            there = self.read(name)
        except StoreBusyError as error:
            raise UncertainError(f"{error}; it is not known whether {name} was put") from None
        if there is None or there[0] != content:
            raise FileExistsError(name)
        return there[1]

    def _is_there(self, name: str, failure: StoreBusyError) -> bool:
        try:
            return self.read(name) is not None
        except StoreBusyError:
            raise UncertainError(f"{failure}; it is not known whether {name} was put") from None

    def change(self, name: str, work: Callable[[bytes | None], bytes]) -> bytes:
        """Replace an object by what `work` makes of it and return that; repeated while others change it meanwhile."""
        for attempt in range(50):
            former = self.read(name)
            new = work(former[0] if former else None)
            try:
                self.replace(name, new, tag=former[1] if former else None)
            except ChangedMeanwhileError:
                _pause(attempt % _TRIES)
                continue
            return new
        raise StoreBusyError(f"{self.setting}: {self.url}: {name} was changed by others at each of 50 tries")

    def replace(self, name: str, content: bytes, *, tag: str | None) -> None:
        """Replace an object that still has an ETag; with None, create it. The content is like no other writer's.

        Raises:
            ChangedMeanwhileError: it has another one.
            UncertainError: the store does not say whether it was created.
        """
        if tag is not None:
            self._replace(name, content, tag)
            return
        try:
            self.create(name, content)
        except FileExistsError:
            raise ChangedMeanwhileError(f"{self.setting}: {self.url}/{name} is there") from None

    def _replace(self, name: str, content: bytes, tag: str) -> None:
        def once() -> None:
            with self._errors():
                self._objects.put(name, content, mode={"e_tag": tag})

        try:
            _repeated(once)
        except ChangedMeanwhileError:  # perhaps by ourselves, if a response was lost
            there = self.read(name)
            if there is None or there[0] != content:
                raise

    def read_range(self, name: str, start: int, end: int, *, tag: str) -> bytes:
        """Return some bytes of an object that still has an ETag.

        Raises:
            ChangedMeanwhileError: it has another one, or has gone.
        """
        return _repeated(lambda: self._read_range(name, start, end, tag))

    def _read_range(self, name: str, start: int, end: int, tag: str) -> bytes:
        try:
            with self._errors():
                options: Any = {"range": (start, end)} | ({"if_match": tag} if tag else {})
                found = self._objects.get(name, options=options)
                return bytes(found.bytes())
        except FileNotFoundError:
            raise ChangedMeanwhileError(f"{self.setting}: {self.url}/{name} has gone") from None

    def listed(self, prefix: str, *, after: str | None = None, until: str | None = None) -> list[Stored]:
        """Return the objects below a prefix of whole segments, those whose names are between two."""
        return _repeated(lambda: self._listed(prefix, after, until))

    def _listed(self, prefix: str, after: str | None, until: str | None) -> list[Stored]:
        listed: list[Stored] = []
        with self._errors():
            for page in self._objects.list(prefix or None, offset=after, chunk_size=1000):
                listed += [
                    Stored(found["path"], found["size"], found["e_tag"] or "", found["last_modified"]) for found in page
                ]
                if until and listed and listed[-1].name > until:
                    break
        return listed if until is None else [found for found in listed if found.name <= until]

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that are not there are fine."""
        wanted = sorted(names)
        if wanted:
            _repeated(lambda: self._delete(wanted))

    def _delete(self, names: list[str]) -> None:
        with contextlib.suppress(FileNotFoundError), self._errors():
            self._objects.delete(names if len(names) > 1 else names[0])

    def check_conditions(self) -> None:
        """Check that the store keeps both conditions: one that ignores them loses commits without an error.

        Raises:
            SettingsError: it does not.
        """
        name = f"_check/{uuid.uuid4().hex}"
        try:
            self.create(name, uuid.uuid4().bytes)
            modes: list[Any] = ["create", {"e_tag": '"0"'}]
            keeps = all(self._is_refused(name, mode) for mode in modes)
        finally:
            self.delete([name])
        if not keeps:
            why = "ignores the conditions If-None-Match and If-Match, so that commits of two runs would be lost"
            raise SettingsError(f"{self.setting}: the store of {self.url} {why}; use another one")

    def _is_refused(self, name: str, mode: Any) -> bool:
        try:
            with self._errors():
                self._objects.put(name, b"a second one", mode=mode)
        except (AlreadyThereError, ChangedMeanwhileError):
            return True
        return False


def side_by_side(work: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
    """Return what `work` returns for each item, `AT_ONCE` at a time; the first error ends it."""
    wanted = list(items)
    if len(wanted) < 2:  # noqa: PLR2004 - one needs no thread
        return [work(item) for item in wanted]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, wanted))


def _repeated(work: Callable[[], _T]) -> _T:
    """Return what `work` returns; repeat it where the store gives no usable answer: it may be repeated."""
    for attempt in range(_TRIES - 1):
        try:
            return work()
        except StoreBusyError as error:
            if error.is_final:
                raise
            _pause(attempt)
    return work()


def _pause(attempt: int) -> None:
    time.sleep(random.uniform(0.5, 1) * 0.2 * 2**attempt)  # noqa: S311 - to separate two writers
