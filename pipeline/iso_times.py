"""Times in the usual ISO 8601 forms, many texts at once.

Belongs here: texts that are beyond doubt. Does not belong here: every other spelling, one by one
(`logs.times`, `protocol.odd_answers`).
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

INSTANT: Final = pa.timestamp("us", "UTC")
_LOCAL_TIME: Final = r"^(19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\.[0-9]{1,6})?"
_OFFSET: Final = r"(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$"
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them


def instants_of(texts: Any, *, local_is_utc: bool) -> Any:
    """Read texts that are wholly in one of the usual forms, null for the rest.

    Shape:  n texts or nulls -> n timestamps, microseconds, UTC.
    Zones:  without an offset a text is read as UTC if `local_is_utc`, else not at all.
    Raises: nothing; one day that is none (30 February) leaves all of them unread.
    """
    has_offset = _matching(texts, _LOCAL_TIME + _OFFSET)
    read = _pc.if_else(has_offset, texts, None)
    if local_is_utc and read.null_count:
        is_local = _matching(texts, _LOCAL_TIME + "$")
        read = _pc.if_else(is_local, _pc.binary_join_element_wise(texts, "Z", ""), read)
    try:
        return read.cast(INSTANT)
    except pa.ArrowInvalid:
        return pa.nulls(len(texts), INSTANT)


def _matching(texts: Any, pattern: str) -> Any:
    return _pc.fill_null(_pc.match_substring_regex(texts, pattern), fill_value=False)
