"""Objects that are cut at their quotes are what a JSON decoder makes of them, and all others are left alone."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.collect.alike_objects import columns_of_alike

NAMES = ("msg_id", "to", "é")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " : "), (", ", ":  ")])
ENDS = st.sampled_from([b"\n", b",", b"\r\n", b" ,"])
Objects = list[dict[str, str]]


def by_decoder(content: bytes, end: bytes) -> Objects | None:
    """Return what `content` holds if it is objects of the same texts each followed by `end`."""
    *parts, rest = content.split(end)
    try:
        found = [json.loads(part) for part in parts]
    except (ValueError, RecursionError):
        return None
    are_texts = all(isinstance(each, dict) and all(isinstance(v, str) for v in each.values()) for each in found)
    return found if are_texts and not rest and len({tuple(each) for each in found}) == 1 else None


def by_quotes(content: bytes, end: bytes, first: bytes) -> Objects | None:
    names = list(json.loads(first))
    columns = columns_of_alike(content, first=first, members=len(names), end=end)
    if columns is None:
        return None
    return [dict(zip(names, row, strict=True)) for row in zip(*(each.to_pylist() for each in columns), strict=True)]


def is_first(first: bytes) -> bool:
    """Say whether an object is one that a reader may give as the first."""
    try:
        record: Any = json.loads(first)
    except (ValueError, RecursionError):
        return False
    are_texts = isinstance(record, dict) and all(isinstance(value, str) for value in record.values())
    return are_texts and bool(record) and first.count(b'"') == 4 * len(record) and b"\\" not in first


@given(
    st.lists(st.tuples(*[TEXTS] * len(NAMES)), min_size=1, max_size=8), SEPARATORS, ENDS, st.booleans(), st.booleans()
)
def test_texts_without_quotes_and_escapes_are_cut(
    rows: list[tuple[str, ...]], separators: tuple[str, str], end: bytes, is_ascii: bool, is_spaced: bool
) -> None:
    objects = [dict(zip(NAMES, row, strict=True)) for row in rows]
    texts = [json.dumps(each, ensure_ascii=is_ascii, separators=separators).encode() for each in objects]
    if is_spaced:
        texts = [b" " + text.replace(b"{", b"{ ", 1) + b"\t" for text in texts]
    content = b"".join(text + end for text in texts)
    if b"\\" in content:
        assert columns_of_alike(content, first=texts[0], members=len(NAMES), end=end) is None
    else:
        assert by_quotes(content, end, texts[0]) == objects


GOOD = [{"msg_id": str(number), "to": "91", "é": "x" * (number % 3)} for number in range(4)]
LINES = [json.dumps(each, ensure_ascii=False).encode() for each in GOOD]


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize(
    "change",
    [
        (b'"to"', b'"of"'),
        (b'"to"', b'"msg_id"'),
        (b'"91"', b"91"),
        (b'"91"', b"null"),
        (b'"91"', b'"9\\u0031"'),
        (b'"91"', b'"9\x001"'),
        (b'"91"', b'"9\n1"'),
        (b'"91"', b'"9\xff1"'),
        (b'"91"', b'"9"1"'),
        (b'"91"', b'"91", "more": "1"'),
        (b'"91", ', b'"91" , '),
        (b'"91", ', b'"91",\t'),
        (b'"91", ', b""),
        (b'"}', b'"} '),
        (b'"}', b'"]'),
        (b'"}', b'"'),
        (b'{"', b'["'),
        (b'{"', b' {"'),
        (b'{"', b'\n{"'),
        (b'"msg_id": ', b'"msg_id" '),
    ],
)
def test_one_object_that_is_not_alike_leaves_all_to_the_decoder(place: int, change: tuple[bytes, bytes]) -> None:
    changed = [line.replace(*change) if number == place else line for number, line in enumerate(LINES)]
    assert changed != LINES
    assert columns_of_alike(b"".join(line + b"\n" for line in changed), first=LINES[0], members=3, end=b"\n") is None


@pytest.mark.parametrize("rest", [b"\n", b"{}", b" ", b"\0", b'"', b'"""" ', LINES[0][:-1], LINES[0]])
def test_nothing_stands_behind_the_last(rest: bytes) -> None:
    content = b"".join(line + b"\n" for line in LINES)
    assert columns_of_alike(content, first=LINES[0], members=3, end=b"\n") is not None
    assert columns_of_alike(content + rest, first=LINES[0], members=3, end=b"\n") is None
    assert columns_of_alike(content[:-1], first=LINES[0], members=3, end=b"\n") is None


def test_quotes_that_two_lines_share_are_not_cut() -> None:
    """One line has four quotes less and the next four more: as many as there should be."""
    less, more = b'{"msg_id": "1", "to": "2"}', b'{"msg_id": "1", "to": "2", "a": "3", "b": "4"}'
    three = b'{"msg_id": "1", "to": "2", "a": "3"}'
    for lines in ([three, less, more], [three, more, less], [three, more, less, three]):
        content = b"".join(line + b"\n" for line in lines)
        assert columns_of_alike(content, first=three, members=3, end=b"\n") is None


def test_objects_begin_with_the_first() -> None:
    assert columns_of_alike(b"[" + LINES[0][1:] + b"\n", first=LINES[0], members=3, end=b"\n") is None


def test_names_may_be_longer_than_all_that_is_left() -> None:
    first, last = b'{"msg_id": "1", "a_name_longer_than_the_rest": "2"}', b'{"msg_id": "1", "b": "2"}'
    assert columns_of_alike(first + b"\n" + last + b"\n", first=first, members=2, end=b"\n") is None


def mutated(line: bytes, chance: Random) -> bytes:
    """Change, take away or put in a byte."""
    place, byte = chance.randrange(len(line)), chance.choice([chance.randrange(256), *b'0",:{}'])
    return line[:place] + bytes([byte] * chance.choice([0, 1, 1, 1])) + line[place + chance.choice([0, 1, 1, 1]) :]


def test_mutated_objects_are_cut_right_or_not_at_all() -> None:
    chance = Random(7)  # noqa: S311 - repeatable
    cut = 0
    for _ in range(30_000):
        lines = chance.choices(LINES, k=chance.randint(1, 4))
        place = chance.randrange(len(lines))
        lines[place] = mutated(lines[place], chance)
        content = b"".join(line + b"\n" for line in lines)
        first = content.partition(b"\n")[0]
        if is_first(first):
            found = by_quotes(content, b"\n", first)
            cut += found is not None
            assert found is None or found == by_decoder(content, b"\n"), content
    assert cut > 1_000
