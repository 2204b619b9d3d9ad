"""The table of a custom kind: columns by JSONPath. Pure.

Source: apiextensions-apiserver/pkg/registry/customresource/tableconvertor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from nanokube.api import objects, timestamps
from nanokube.api.custom import checks, jsonpath
from nanokube.api.objects import Object
from nanokube.api.table.columns import NAME, Column, Columns

_AGE: Final = {
    "name": "Age",
    "type": "date",
    "description": "CreationTimestamp is a timestamp representing the server time when this object was "
    "created. It is not guaranteed to be set in happens-before order across separate operations. Clients may "
    "not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. "
    "Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/"
    "api-conventions.md#metadata",
    "jsonPath": ".metadata.creationTimestamp",
}


def of(version: Mapping[str, Any]) -> Columns:
    """Make the columns of one version of a definition; Age if it names none."""
    rows = version.get("additionalPrinterColumns") or (_AGE,)
    try:
        finds = [jsonpath.compile(row["jsonPath"]) for row in rows]
    except jsonpath.BadPath:
        rows, finds = (), []  # as upstream: names only
    types = [row.get("type", "") for row in rows]

    def cells(obj: Object, now: float) -> list[Any]:
        found: list[Any] = [objects.name(obj)]
        for type_, find in zip(types, finds, strict=True):
            values = find(obj)
            found.append(_cell(type_, values[0], now) if values else None)
        return found

    return Columns((NAME, *(_column(row) for row in rows)), cells)


def _column(row: Mapping[str, Any]) -> Column:
    said = f"Custom resource definition column (in JSONPath format): {row['jsonPath']}"
    return Column(
        row.get("name", ""),
        row.get("type", ""),
        int(row.get("priority") or 0),
        row.get("format") or "",
        row.get("description") or said,
    )


def _cell(type_: str, value: Any, now: float) -> Any:
    """Print a value for a column of a type; what does not fit stays empty."""
    kind = type(value)
    if type_ == "string":
        return _text(value)
    if value is None:
        return None
    if type_ == "integer" and kind in (int, float):
        return math.trunc(value)
    if type_ == "number" and kind in (int, float):
        return float(value)
    if type_ == "boolean" and kind is bool:
        return value
    if type_ == "date" and kind is str:
        return _since(value, now)
    return None


def _text(value: Any) -> str:
    """Print a value as Go's templates do: objects and lists as JSON."""
    if type(value) is str:
        return value
    if value is None:
        return "<no value>"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is float:
        return checks.show_number(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _since(value: str, now: float) -> str:
    try:
        return timestamps.human(now - timestamps.parse(value)) if value else "<unknown>"
    except ValueError:
        return "<invalid>"


def readers(version: Mapping[str, Any]) -> Mapping[str, Callable[[Any], list[Any]]]:
    """Return what reads each selectable field of a version, by its label."""
    rows: Sequence[Mapping[str, Any]] = version.get("selectableFields") or ()
    return {row["jsonPath"].removeprefix("."): jsonpath.compile(row["jsonPath"]) for row in rows}


def show(values: Sequence[Any]) -> str:
    """Print the value of a selectable field."""
    if not values or values[0] is None:
        return ""
    value = values[0]
    return ("true" if value else "false") if type(value) is bool else str(value)
