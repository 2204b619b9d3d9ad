"""Why Go's converter from maps to structs refuses a tree, and how Go prints such trees. Pure.

A strategic merge patch is refused in these words, other patches in those of the JSON decoder (walk.py).
Source: apimachinery pkg/runtime/converter.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from nanokube.api import facts, walk

_KINDS: Final = {str: "string", bool: "bool", int: "int64", float: "float64", list: "slice", dict: "map"}
_TYPES: Final = {"s": "string", "b": "bool", "i": "int32", "l": "int64", "n": "float64"}
# Between these Go converts, though not as JSON does; any other pair it does not know.
_CONVERTIBLE: Final = frozenset((("int64", "string"), ("float64", "int32"), ("float64", "int64")))


def refusal(definition: facts.Definition, tree: Any) -> str:
    """Say what is wrong with the first value of a wrong type; "" if nothing is."""
    return _value(facts.Type("@", name=definition.name), tree)


def _value(type_: facts.Type, value: Any) -> str:
    code, kind = type_.code, _KINDS.get(type(value), "")
    if value is None or code in facts.UNTYPED:
        return ""
    if code == "@":
        if kind != "map":
            return f"cannot restore struct from: {kind}"
        fields = facts.definition(type_.name).fields
        return _first(_value(fields[key].type, value[key]) for key in fields if key in value)
    if type_.item is not None:
        wanted = "slice" if code == "a" else "map"
        if kind != wanted:
            return f"cannot restore {wanted} from {kind}"
        return _first(_value(type_.item, each) for each in (value if code == "a" else value.values()))
    if code in _TYPES:
        return _plain(_TYPES[code], kind, value)
    return _unmarshalled(code, kind, value)


def _first(found: Iterable[str]) -> str:
    return next((each for each in found if each), "")


def _plain(wanted: str, kind: str, value: Any) -> str:
    is_whole = kind == "int64" or (kind == "float64" and value.is_integer())
    if wanted == kind or (is_whole and wanted in ("int32", "int64", "float64")):
        return ""
    if (kind, wanted) in _CONVERTIBLE:
        return f"cannot convert {kind} to {wanted}"
    return f"unrecognized type: {wanted}"


def _unmarshalled(code: str, kind: str, value: Any) -> str:
    """Judge what has a JSON form of its own."""
    if code == "y" and kind != "string":
        return f"cannot restore slice from {kind}"
    found = walk.scalar_fault(code, value)
    return f"error decoding from json: {found}" if found and code == "y" else found


def shown(value: Any) -> str:
    """Print a tree as Go's %v: maps sorted by their keys, text without quotes."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{shown(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(shown, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.17g}" if abs(value) >= 1e21 else repr(value).removesuffix(".0")
    return "<nil>" if value is None else str(value)
