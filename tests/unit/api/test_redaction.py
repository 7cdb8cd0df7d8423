"""Credentials that are echoed are hidden in every spelling, and nothing else is."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.redaction import hide

KEY = "Kq8/zW+Lr5=mT2"

SPELLINGS = {
    "as it is": KEY,
    "lower case": KEY.lower(),
    "in a URL": quote(KEY, safe=""),
    "each character in a URL": "".join(f"%{ord(character):02X}" for character in KEY),
    "in JSON": KEY.replace("/", r"\/"),
    "each character in JSON": "".join(f"\\u{ord(character):04x}" for character in KEY),
    "JSON in JSON": json.dumps("".join(f"\\u{ord(character):04X}" for character in KEY)),
    "PHP's JSON in JSON": json.dumps(json.dumps(KEY).replace("/", r"\/")),
    "in HTML": "".join(f"&#{ord(character)};" for character in KEY),
    "in HTML, by hexadecimals": "".join(f"&#x{ord(character):x};" for character in KEY),
    "in HTML, by names": KEY.replace("/", "&sol;").replace("+", "&plus;").replace("=", "&equals;"),
    "mixed": f"%4b{KEY[1:]}",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_credential_is_hidden_in_every_spelling(spelling: str) -> None:
    assert hide(f'{{"said": "you sent {spelling}!"}}'.encode(), [KEY]) in {
        b'{"said": "you sent ***!"}',
        b'{"said": "you sent "***"!"}',
        b'{"said": "you sent "\\"***\\""!"}',
    }


@given(st.binary(max_size=300))
def test_other_bodies_stay_as_they_are(body: bytes) -> None:
    assert hide(body, [KEY]) == body


def test_digits_inside_an_id_stay() -> None:
    assert hide(b'{"msgId":"2108021054","key":"210802"}', ["210802"]) == b'{"msgId":"2108021054","key":"***"}'


def test_what_is_not_hidden_is_said() -> None:
    """The docstring names these."""
    for other in ("short", KEY[:-1], base64.b64encode(KEY.encode()).decode()):
        assert hide(other.encode(), [KEY, "short"]) == other.encode()
