"""The country of a phone number, from its first digits.

What belongs here: digits to ISO 3166-1 alpha-2. What does not: masking (`phone_numbers`), which comes later, since a
masked number has no country.

The `phonenumbers` library decides. It takes 20 to 50 microseconds per number, so it is called once per group of
numbers with the same deciding digits and the same length.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute

from pipeline.model.phone_numbers import digit_array

SHORTEST_NATIONAL = 2
LONGEST_NATIONAL = 17
"""Number of digits after the calling code that the library accepts."""
HEAD_DIGITS = 5
"""Number of first digits that tell how many digits decide the country."""
DECISIVE_DIGITS: Mapping[str, int] = MappingProxyType(
    {
        "1": 5, "152": 7, "10": 2, "11": 6, "1152": 8,  # area code and one more; personal numbers are 1 52x
        "7": 2, "78": 3,
        "39": 7,  # the Vatican is 39 06698
        "44": 6, "440": 10, "441": 8, "44180": 15, "443": 8, "447": 7, "4470": 8, "448": 8, "4480": 9, "4490": 8,
        "47": 4,
        "61": 6, "610": 9, "611": 7, "6118": 12, "618": 8,  # Christmas and Cocos Islands are 61 8 91
        "212": 4, "2120": 5,
        "262": 6, "2620": 9, "26226": 8, "26263": 8, "26269": 8, "26270": 8, "26293": 8, "26294": 8, "26297": 8,
        "290": 4,
        "358": 5, "3580": 8,
        "590": 6, "5900": 9, "59059": 8, "59069": 8, "59070": 8, "59093": 8, "59094": 8, "59097": 8,
        "599": 4,
    }
)  # fmt: skip
"""First digits of a number -> how many digits decide, for calling codes that several countries share.

The longest matching entry counts. Derived from the deepest digit class in the library's patterns, plus one where a
national prefix (`1`, `8`, `0`, `180020`, `1831`) can follow the calling code. Tests compare the result with the library
for each number. For a shared code that is not listed, all digits decide.
"""
_pc: Any = pyarrow.compute  # its stubs lack plain values as arguments, and results
_NON_GEOGRAPHIC = "001"


def countries_of(numbers: pa.Array[Any] | pa.ChunkedArray[Any]) -> pa.StringArray:
    """Return the country of each unmasked number.

    Shape:  n texts or nulls -> n ISO 3166-1 alpha-2 codes or nulls.
    Rules:  only digits count, and a leading `00` stands for `+`. A calling code of one country decides, even if the
            number is invalid. For a shared code the library decides. Satellite and other non-geographic codes have no
            country.
    """
    digits = digit_array(numbers)
    if _pc.any(_pc.starts_with(digits, "00")).as_py():
        digits = _pc.replace_substring_regex(digits, "^00", "")
    found: pa.StringArray = _regions(digits, HEAD_DIGITS)
    for marker in _pc.unique(found).to_pylist():
        if marker is not None and marker.startswith("+"):
            undecided = _pc.fill_null(_pc.equal(found, marker), fill_value=False)
            finer = _regions(digits.filter(undecided), int(marker[1:]))
            found = _pc.replace_with_mask(found, undecided, finer)
    return found


def _regions(digits: pa.StringArray, size: int) -> pa.StringArray:
    heads = _pc.utf8_slice_codeunits(digits, 0, size)
    lengths = _pc.binary_length(digits).cast(pa.string())
    groups = _pc.binary_join_element_wise(heads, lengths, ":").dictionary_encode()
    regions = [_region_of_group(group) for group in groups.dictionary.to_pylist()]
    found: pa.StringArray = pa.array(regions, pa.string()).take(groups.indices)
    return found


@lru_cache(maxsize=1 << 16)
def _region_of_group(group: str) -> str | None:
    """Return the country of the group `first digits:length`, or `+n` if n digits decide."""
    head, _, length = group.partition(":")
    code, regions = _calling_code(head[:3])
    national = int(length) - len(code)
    if not SHORTEST_NATIONAL <= national <= LONGEST_NATIONAL or regions[:1] in {(), (_NON_GEOGRAPHIC,)}:
        return None
    if len(regions) == 1:
        return regions[0]
    needed = min(_decisive_digits(head, code), int(length))
    return f"+{needed}" if needed > len(head) else _asked(head[:needed], int(length))


@lru_cache(maxsize=2000)
def _calling_code(head: str) -> tuple[str, tuple[str, ...]]:
    """Return the calling code at the start of `head` and its countries; `("", ())` if there is none."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE  # noqa: PLC0415 - its metadata takes long to load

    for size in (1, 2, 3):
        regions = COUNTRY_CODE_TO_REGION_CODE.get(int(head[:size] or "0"))
        if regions and not head.startswith("0"):
            return head[:size], regions
    return "", ()


def _decisive_digits(head: str, code: str) -> int:
    for size in range(len(head), len(code) - 1, -1):
        if head[:size] in DECISIVE_DIGITS:
            return DECISIVE_DIGITS[head[:size]]
    return len(code) + LONGEST_NATIONAL


@lru_cache(maxsize=1 << 16)
def _asked(head: str, length: int) -> str | None:
    """Ask the library for the country of a number with `length` digits that starts with `head`."""
    import phonenumbers  # noqa: PLC0415 - its metadata takes long to load

    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse("+" + head.ljust(length, "2")))
    except phonenumbers.NumberParseException:
        return None
