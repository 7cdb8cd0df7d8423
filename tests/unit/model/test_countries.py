"""Countries by number, held against the library that knows them."""

from __future__ import annotations

import random
from collections.abc import Iterator

import phonenumbers
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

from pipeline.model.countries import DECISIVE_DIGITS, LONGEST_NATIONAL, countries_of

SHARED = {str(code): regions for code, regions in COUNTRY_CODE_TO_REGION_CODE.items() if len(regions) > 1}
NATIONAL_PREFIXES = {"1": "1", "7": "8", "44": "0", "61": "0", "212": "0", "262": "0", "358": "0", "590": "0"}
KINDS = ("fixed_line", "mobile", "toll_free", "premium_rate", "personal_number", "voip", "pager", "uan")


def by_library(digits: str) -> str | None:
    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(f"+{digits}"))
    except phonenumbers.NumberParseException:
        return None
    return None if region == "001" else region


def country_of(number: str | None) -> str | None:
    (found,) = countries_of(pa.array([number], pa.string())).to_pylist()
    return found


def examples() -> list[tuple[str, str]]:
    return [
        (code, description.example_number)
        for code, regions in SHARED.items()
        for region in regions
        for kind in KINDS
        if (metadata := PhoneMetadata.metadata_for_region(region))
        and (description := getattr(metadata, kind))
        and description.example_number
    ]


def numbers_of_shared_codes(chance: random.Random, count: int) -> Iterator[str]:
    """Numbers near the patterns' edges: examples with some digits changed, cut, longer or prefixed."""
    known = examples()
    for _ in range(count):
        code, national = chance.choice(known)
        kept = chance.randrange(len(national) + 1)
        national = national[:kept] + "".join(chance.choices("0123456789", k=len(national) - kept))
        if chance.random() < 0.15:
            national = NATIONAL_PREFIXES.get(code, "") + national
        if chance.random() < 0.1:
            national = national[: chance.randrange(len(national) + 1)]
        if chance.random() < 0.1:
            national += "".join(chance.choices("0123456789", k=chance.randrange(4)))
        yield code + national[:LONGEST_NATIONAL]


@pytest.mark.parametrize("seed", range(4))
def test_shared_calling_codes_tell_the_same_country_as_the_library(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - nothing is kept secret with it
    numbers = list(numbers_of_shared_codes(chance, 3000))
    found = countries_of(pa.array(numbers)).to_pylist()
    assert [pair for pair in zip(numbers, found, strict=True) if pair[1] != by_library(pair[0])] == []


@given(st.lists(st.from_regex(r"[1-9][0-9]{0,15}", fullmatch=True), max_size=20))
def test_any_number_tells_the_same_country_as_the_library(numbers: list[str]) -> None:
    assert countries_of(pa.array(numbers, pa.string())).to_pylist() == [by_library(each) for each in numbers]


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_every_region_has_a_number_that_tells_it(region: str) -> None:
    example = phonenumbers.example_number(region)
    assert example is not None
    digits = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
    assert country_of(digits) == by_library(digits.removeprefix("+"))


def test_every_shared_calling_code_has_its_decisive_digits() -> None:
    assert SHARED.keys() <= DECISIVE_DIGITS.keys()


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+49 151 12345678", "DE"),
        ("0049 151 12345678", "DE"),
        ("4912", "DE"),
        ("91856321412", "IN"),
        ("12125551234", "US"),
        ("14165551234", "CA"),
        ("12425551234", "BS"),
        ("77011234567", "KZ"),
        ("79161234567", "RU"),
        ("447797712345", "JE"),
        ("3906698123", "VA"),
        ("881612345678", None),  # satellite
        ("80012345678", None),  # freephone
        ("49", None),
        ("0151123456", None),
        ("999", None),
        ("text", None),
        ("", None),
        (None, None),
    ],
)
def test_a_number_tells_its_country(number: str | None, country: str | None) -> None:
    assert country_of(number) == country


def test_an_empty_column_and_a_full_one_have_the_same_type() -> None:
    assert countries_of(pa.array([], pa.string())).type == countries_of(pa.array(["491"])).type == pa.string()


def test_a_chunked_column_is_read_as_a_whole() -> None:
    assert countries_of(pa.chunked_array([["4915112345678"], [None]], pa.string())).to_pylist() == [
        "DE",
        None,
    ]
