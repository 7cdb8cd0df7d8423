"""The bytes of many texts at once: what one look at all of them answers is not asked of each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa


class TextBytes(NamedTuple):
    """Some texts as Arrow holds them.

    Attributes:
        lengths: of each text, in bytes.
        at: the bytes of all texts, one behind the other.
    """

    lengths: npt.NDArray[np.int32]
    at: npt.NDArray[np.uint8]


def bytes_of(texts: Any) -> TextBytes | None:
    """Return the bytes of an array of texts; None where one is missing, there is none, or they are no texts."""
    if not isinstance(texts, pa.StringArray) or texts.null_count or not len(texts):
        return None
    held: Any = texts  # its stubs know no buffers that numpy takes
    _, bounds, content = held.buffers()
    begin, end = texts.offset, texts.offset + len(texts) + 1
    ends = np.frombuffer(bounds, np.int32)[begin:end]
    return TextBytes(np.diff(ends), np.frombuffer(content, np.uint8)[ends[0] : ends[-1]])


def is_utf8(content: bytes) -> bool:
    """Tell whether bytes are UTF-8."""
    try:
        return content.isascii() or bool(content.decode("utf-8"))
    except UnicodeDecodeError:
        return False
