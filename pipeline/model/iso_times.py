"""Times in the usual ISO 8601 forms, many texts at once.

Belongs here: texts that are beyond doubt. Does not belong here: every other spelling, one by one
(`logs.times`, `protocol.odd_answers`).
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute

from pipeline.model.text_bytes import bytes_of

INSTANT: Final = pa.timestamp("us", "UTC")
_LOCAL_TIME: Final = (
    r"^(?P<century>19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\.[0-9]{1,6})?"
)
_OFFSET: Final = r"(?P<offset>Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$"
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them


def instants_of(texts: Any, *, local_is_utc: bool) -> Any:
    """Read texts that are wholly in one of the usual forms, null for the rest.

    Shape:  n texts or nulls -> n timestamps, microseconds, UTC.
    Zones:  without an offset a text is read as UTC if `local_is_utc`, else not at all.
    Raises: nothing; one day that is none (30 February) leaves all of them unread.
    """
    if _are_alike(texts):
        with contextlib.suppress(pa.ArrowInvalid):  # an hour or a day that is none: whose it is must be found out
            return texts.cast(INSTANT)
    has_offset = _matching(texts, _LOCAL_TIME + _OFFSET)
    read = _pc.if_else(has_offset, texts, None)
    if local_is_utc and read.null_count:
        is_local = _matching(texts, _LOCAL_TIME + "$")
        read = _pc.if_else(is_local, _pc.binary_join_element_wise(texts, "Z", ""), read)
    try:
        return read.cast(INSTANT)
    except pa.ArrowInvalid:
        return pa.nulls(len(texts), INSTANT)


def _are_alike(texts: Any) -> bool:
    """Tell whether all texts are there, have the form of the first, which has an offset, and differ in digits alone.

    They do not differ in the century, which is one that is taken, or in the offset. Casting takes of them what the
    expressions take, and no more: it knows no hour 24 and no second 60. To ask this of all is a quarter of the work of
    an expression.
    """
    found = bytes_of(texts)
    if found is None:
        return False
    first = texts[0].as_py()
    form = re.fullmatch(_LOCAL_TIME + _OFFSET, first)
    if form is None or (found.lengths != len(first)).any():
        return False
    varying = range(form.end("century"), form.start("offset"))
    may_differ = [place in varying and character.isdigit() for place, character in enumerate(first)]
    at = found.at.reshape(len(texts), len(first))
    least = np.where(may_differ, ord("0"), at[0]).astype(np.uint8)
    return bool(((at - least).max(axis=0) <= np.where(may_differ, 9, 0)).all())


def _matching(texts: Any, pattern: str) -> Any:
    return _pc.fill_null(_pc.match_substring_regex(texts, pattern), fill_value=False)
