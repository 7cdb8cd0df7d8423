"""Small text files of the lake beside its tables; each is replaced as a whole."""

from __future__ import annotations

from pathlib import Path


def replace_text(path: Path, text: str, *, mode: int) -> None:
    """Replace a file in one step: readers see the old text or the new one."""
    path.parent.mkdir(exist_ok=True)
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_text(text, "utf-8")
    beside.chmod(mode)
    beside.replace(path)
