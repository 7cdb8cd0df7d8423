"""Conditions that a person writes: one SQL expression over the columns of a table or view, and nothing else.

Belongs here: what such an expression may be. Does not belong here: the query that it becomes a part of (`extract.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import duckdb

from pipeline.lake.queries import rows_of
from pipeline.model.errors import SettingsError
from pipeline.model.phone_numbers import mask_digits

_REFUSED: Final = {"SUBQUERY": "a subselect", "PARAMETER": "a parameter", "STAR": "a star"}
"""Classes of DuckDB's parser that an expression may not hold: a subselect can read files."""


def checked_expression(connection: duckdb.DuckDBPyConnection, text: str, *, source: str, option: str) -> str:
    """Return an expression as a condition of a query of `source`.

    DuckDB's own parser says what it is: the one item of a SELECT that has no other part.

    Raises:
        SettingsError: it is no single expression, or not one of the columns of `source`; the text names `option`.
    """
    node = _parsed(connection, text, option)
    plain = _parsed(connection, "1", option)
    if len(node.pop("select_list")) != 1 or node != {name: plain[name] for name in node}:
        raise SettingsError(f"{option}: give one condition, such as \"country = 'NG'\", and nothing behind it")
    condition = f"({text}\n)"  # the line break ends a comment
    try:
        connection.execute(f"SELECT 1 FROM {source} WHERE {condition} LIMIT 0")
    except duckdb.Error as error:
        raise SettingsError(f"{option}: {shown(error)}") from error
    return condition


def shown(error: duckdb.Error) -> str:
    """Return what DuckDB says of a condition, in one line; it may quote values of rows, so numbers are masked."""
    return mask_digits(str(error).splitlines()[0])


def _parsed(connection: duckdb.DuckDBPyConnection, text: str, option: str) -> dict[str, Any]:
    """Return the parser's tree of a SELECT of the text."""
    ((found,),) = rows_of(connection, "SELECT json_serialize_sql('SELECT ' || $text || chr(10))", {"text": text})
    tree = json.loads(found)
    if tree["error"]:
        raise SettingsError(f"{option}: {tree['error_message'].splitlines()[0]}")
    if len(tree["statements"]) != 1:
        raise SettingsError(f"{option}: give one condition, not several statements")
    for kind in _classes(tree):
        if kind in _REFUSED:
            raise SettingsError(f"{option}: {_REFUSED[kind]} can't be part of it")
    node: dict[str, Any] = tree["statements"][0]["node"]
    return node


def _classes(tree: object) -> Iterator[object]:
    if isinstance(tree, dict):
        yield tree.get("class")
        yield from (found for each in tree.values() for found in _classes(each))
    if isinstance(tree, list):
        yield from (found for each in tree for found in _classes(each))
