"""Signing: what `Sign` is, and that it can't be anything else."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.signing import sign

VENDOR_SAMPLE_SIGN = "05d7a50893e22a5c4bb3216ae3396c7c"
"""Header `Sign` of the vendor page's sample request; its secret is not published, so only the form can be held."""
HEX_MD5 = re.compile(r"[0-9a-f]{32}")

keys = st.text(st.characters(exclude_categories=["Cs"]))
timestamps = st.integers(0, 2**33).map(str)


def vendors_own(api_key: str, api_pwd: str, timestamp: str) -> str:
    """Do what `create_headers` of the vendor's Python sample does."""
    s = f"{api_key}{api_pwd}{timestamp}"
    return hashlib.md5(s.encode(encoding="UTF-8"), usedforsecurity=False).hexdigest()


@given(keys, keys, timestamps)
def test_a_signature_has_the_form_of_the_vendor_sample(key: str, secret: str, timestamp: str) -> None:
    assert HEX_MD5.fullmatch(VENDOR_SAMPLE_SIGN)
    assert HEX_MD5.fullmatch(sign(key, secret, timestamp))


@given(keys, keys, timestamps)
def test_a_signature_is_what_the_vendor_sample_computes(key: str, secret: str, timestamp: str) -> None:
    assert sign(key, secret, timestamp) == vendors_own(key, secret, timestamp)


@pytest.mark.parametrize(
    ("key", "secret", "timestamp", "expected"),
    [
        ("a", "b", "1", "68b6a776378decbb4a79cda89087c4ce"),
        ("bDqJFiq9", "пароль", "1630468800", "2b7aabf67251fd2dd7e541cffa38e4c4"),
    ],
)
def test_signatures_computed_with_md5sum(key: str, secret: str, timestamp: str, expected: str) -> None:
    assert sign(key, secret, timestamp) == expected


@given(keys, keys, timestamps, timestamps)
def test_another_second_is_another_signature(key: str, secret: str, one: str, other: str) -> None:
    assert (sign(key, secret, one) == sign(key, secret, other)) is (one == other)
