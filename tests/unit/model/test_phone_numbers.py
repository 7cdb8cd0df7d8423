"""What `SMS_NUMBERS` does to phone numbers and to free text."""

from __future__ import annotations

import hashlib
import hmac
import sys
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.phone_numbers import (
    NumberPolicy,
    digits_of,
    mask_digits,
    mask_text,
    treat_number,
    treat_numbers,
    treat_text,
    treat_texts,
)

KEEP = NumberPolicy("keep")
MASK = NumberPolicy("mask")
DROP = NumberPolicy("drop")
UUID = "12345678-1234-4123-8123-1234567890ab"
HASH = NumberPolicy("hash", b"a key")


def test_a_number_is_reduced_to_its_ascii_digits() -> None:
    assert digits_of("+49 (151) 123-45") == "4915112345"
    assert digits_of("+٤٩ (0) 151") == "49151"
    assert digits_of("none") is None
    assert digits_of("") is None


def test_keep_stores_digits() -> None:
    assert treat_number("+49 151 1234567", KEEP) == "491511234567"


@pytest.mark.parametrize(
    ("number", "stored"),
    [("+4915112345678", "*********5678"), ("12345", "*2345"), ("1234", "1234"), ("7", "7")],
)
def test_mask_shows_the_last_four_digits_and_a_star_for_each_other(number: str, stored: str) -> None:
    assert treat_number(number, MASK) == stored


def test_hash_is_hmac_sha_256_in_lower_case_hex_over_the_digits() -> None:
    expected = hmac.new(b"a key", b"4915112345678", hashlib.sha256).hexdigest()
    assert treat_number("+49 151 12345678", HASH) == expected


def test_drop_stores_nothing() -> None:
    assert treat_number("4915112345678", DROP) is None
    assert treat_numbers(pa.array(["4915112345678", None]), DROP).to_pylist() == [None, None]


def test_hashing_without_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match="key"):
        NumberPolicy("hash")


def test_the_key_is_not_shown() -> None:
    assert "a key" not in repr(HASH)


@given(
    st.lists(st.none() | st.text(alphabet="0123456789+- x٤\0é", max_size=25)),
    st.sampled_from([KEEP, MASK, HASH, DROP]),
)
def test_a_column_is_treated_like_each_of_its_numbers(numbers: list[str | None], policy: NumberPolicy) -> None:
    treated = treat_numbers(pa.array(numbers, pa.string()), policy)
    assert treated.type == pa.string()
    assert treated.to_pylist() == [treat_number(number, policy) for number in numbers]


def test_a_chunked_column_is_treated_as_a_whole() -> None:
    numbers = pa.chunked_array([["+1 2345"], [], ["67 890"]], pa.string())
    assert treat_numbers(numbers, KEEP).to_pylist() == ["12345", "67890"]


@given(st.text(alphabet="0123456789+ ", max_size=40), st.sampled_from([MASK, HASH, DROP]))
def test_no_hidden_number_can_be_read_in_what_is_stored(number: str, policy: NumberPolicy) -> None:
    digits = digits_of(number)
    stored = treat_number(number, policy)
    if digits is not None and len(digits) > 4 and stored is not None:
        assert digits not in stored


def test_free_text_keeps_short_runs_of_digits_and_hides_long_ones() -> None:
    assert mask_text("code 123456 for 4915112345678", MASK) == "code 123456 for *************"
    assert mask_text("code 123456 for 4915112345678", KEEP) == "code 123456 for 4915112345678"
    assert mask_text("٤٩١٥١١٢٣٤٥", DROP) == "*" * 10


def test_free_text_is_cut_at_500_characters_after_masking() -> None:
    assert mask_text("x" * 497 + "1234567890", HASH) == "x" * 497 + "***"
    assert len(mask_text("x" * 501, KEEP)) == 500


@pytest.mark.parametrize(
    ("text", "masked"),
    [("to 91856321412.", "to ***********."), ("123456", "123456"), ("1234567", "*******"), ("", "")],
)
def test_runs_of_seven_and_more_digits_are_hidden(text: str, masked: str) -> None:
    assert mask_digits(text) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"call {'4f5d1234' * 4} of 91856321412", f"call {'4f5d1234' * 4} of ***********"),
        (f"{UUID}.parquet, run 1234567a", f"{UUID}.parquet, run 1234567a"),
        ("sent-91856321412.jsonl: 1,234,567 records", "sent-***********.jsonl: 1,234,567 records"),
        ("logs/20261127.jsonl, logs/x-20261127_101500.csv", "logs/20261127.jsonl, logs/x-20261127_101500.csv"),
        ("call 0a-91856321412", "call 0a-***********"),
        ("+91 856-321.412", "+** ***-***.***"),
    ],
)
def test_own_ids_and_counts_stay_readable_in_own_lines_and_numbers_do_not(text: str, masked: str) -> None:
    assert mask_digits(text, is_own=True) == masked


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-27", "2026-11-27 10:00:01", "at 2026-11-27T10:00:01.123456+01:00.", "2026-11-27 - 2026/11/28",
        "msgId 2108021054011000095 is unknown", "1" * 32, "error 26201 of 0.05 EUR", "short code 123456",
    ],
)  # fmt: skip
def test_times_and_ids_stay_in_foreign_text(text: str) -> None:
    assert mask_digits(text) == text


def test_every_digit_of_unicode_is_found() -> None:
    every = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.digit(chr(code), None) is not None]
    missed = [digit for digit in every if mask_digits(digit * 7) != "*" * 7]
    assert not missed


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("+49 170 111 22 22", "********2222"),
        ("123456", "123456"),
        ("ACME 49/170/1112222", "ACME **/***/*******"),
        ("2108021054011000095", "2108021054011000095"),
        ("2026-11-27 10:00", "2026-11-27 10:00"),
        ("", ""),
    ],
)
def test_a_text_that_is_a_number_is_treated_as_one_and_numbers_in_others_are_masked(text: str, stored: str) -> None:
    assert treat_text(text, MASK) == stored
    assert treat_texts(pa.array([text, None]), MASK).to_pylist() == [stored, None]
    assert treat_text(text, KEEP) == text


@given(
    st.lists(st.none() | st.text(alphabet="0123456789+- x٤\0é", max_size=25)),
    st.sampled_from([KEEP, MASK, HASH, DROP]),
)
def test_a_column_of_texts_is_treated_like_each_of_them(texts: list[str | None], policy: NumberPolicy) -> None:
    assert treat_texts(pa.array(texts, pa.string()), policy).to_pylist() == [treat_text(text, policy) for text in texts]
