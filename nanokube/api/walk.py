"""The slow walker: prune an object against the table of facts, naming each unknown field and the first
wrong type.

Pure. Null is absent in structs and the zero value in lists and maps, as in Go's decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from nanokube.api import facts, quantity, scalars, timestamps

_GO_TYPES: Final[Mapping[str, str]] = {
    "s": "string",
    "b": "bool",
    "i": "int32",
    "l": "int64",
    "n": "float64",
    "x": "int32",
    "y": "[]uint8",
}
_ZEROS: Final[Mapping[str, Any]] = {"s": "", "b": False, "i": 0, "l": 0, "n": 0, "y": "", "q": "0", "x": 0}
_TEXTS: Final[Mapping[str, Callable[[Any], str]]] = {
    "q": scalars.canonical_quantity,
    "t": scalars.canonical_time,
    "u": scalars.canonical_micro_time,
    "y": scalars.canonical_base64,
}
_RANGES: Final = {"i": 1 << 31, "l": 1 << 63, "x": 1 << 31}


class WrongType(Exception):
    """A value that Go's decoder would refuse; the message is the decoder's."""


def prune(definition: facts.Definition, tree: Any) -> tuple[dict[str, Any], list[str]]:
    """Return a pruned, canonical copy and `unknown field "…"` for each field dropped. Raises WrongType."""
    unknown: list[str] = []
    if type(tree) is not dict:
        raise WrongType(
            f"json: cannot unmarshal {json_name(tree)} into Go value of type {_go_title(definition)}"
        )
    found = _struct(definition, tree, "", "", unknown)
    return found, [f'unknown field "{path}"' for path in unknown]


def _struct(
    definition: facts.Definition, tree: Mapping[str, Any], path: str, plain: str, unknown: list[str]
) -> dict[str, Any]:
    """`path` has list indexes, for unknown fields; `plain` has none, for wrong types."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        field = definition.fields.get(key)
        here = f"{path}.{key}" if path else key
        if field is None:
            unknown.append(here)
        elif value is not None:
            bare = f"{plain}.{key}" if plain else key
            checked = _value(field.type, value, definition.title, here, bare, unknown)
            if checked or not field.drops_zero:
                found[key] = checked
    return found


def _value(type_: facts.Type, value: Any, title: str, path: str, plain: str, unknown: list[str]) -> Any:
    code = type_.code
    if code == facts.ANY:
        return value
    if code == "@":
        definition = facts.definition(type_.name)
        if type(value) is not dict:
            raise _wrong(value, title, plain, _go_title(definition))
        return _struct(definition, value, path, plain, unknown)
    if code in facts.UNTYPED:
        return _choice(type_, value, path, plain)
    if type_.item is not None:
        return _collection(type_.item, code, value, title, path, plain, unknown)
    return _scalar(code, value, title, plain)


def _choice(type_: facts.Type, value: Any, path: str, plain: str) -> Any:
    """Prune a JSON schema where something else may stand; Go does not name what is unknown below."""
    assert type_.item is not None
    unnamed: list[str] = []
    if type(value) is dict:
        return _value(type_.item, value, "", path, plain, unnamed)
    if type_.code == facts.SCHEMA_OR_BOOLEAN:
        if type(value) is not bool:
            raise WrongType("boolean or JSON schema expected")
        return value
    if type(value) is not list:
        return None
    item = type_.item if type_.code == facts.SCHEMA_OR_LIST else facts.Type("s")
    return [_value(item, each, "", path, plain, unnamed) for each in value]


def _collection(
    item: facts.Type, code: str, value: Any, title: str, path: str, plain: str, unknown: list[str]
) -> Any:
    if code == "a":
        if type(value) is not list:
            raise _wrong(value, title, plain, f"[]{_go_name(item)}")
        return [
            _zero(item) if v is None else _value(item, v, title, f"{path}[{i}]", plain, unknown)
            for i, v in enumerate(value)
        ]
    if type(value) is not dict:
        raise _wrong(value, title, plain, f"map[string]{_go_name(item)}")
    return {
        k: _zero(item) if v is None else _value(item, v, title, f"{path}.{k}", plain, unknown)
        for k, v in value.items()
    }


def _scalar(code: str, value: Any, title: str, plain: str) -> Any:
    check = _TEXTS.get(code)
    if check is not None:
        if fault := scalar_fault(code, value):
            if fault.startswith("json: "):
                raise _wrong(value, title, plain, _GO_TYPES.get(code, "string"))
            raise WrongType(fault)
        return check(value)
    kind = type(value)
    if (code == "s" and kind is str) or (code == "b" and kind is bool) or (code == "x" and kind is str):
        return value
    if code in _RANGES and (kind is int or (kind is float and value.is_integer())):
        limit = _RANGES[code]
        if -limit <= value < limit:
            return int(value)
    if code == "n" and kind in (int, float):
        return value
    raise _wrong(value, title, plain, _GO_TYPES[code])


def scalar_fault(code: str, value: Any) -> str:
    """Say why a quantity, a time, base64 or an int-or-string is none; "" if it is one."""
    if code == "x":
        is_whole = type(value) is int or (type(value) is float and value.is_integer())
        if type(value) is str or (is_whole and -_RANGES["x"] <= value < _RANGES["x"]):
            return ""
        return f"json: cannot unmarshal {json_name(value, 'int32')} into Go value of type int32"
    try:
        if code != "q" and type(value) is not str:
            return f"json: cannot unmarshal {json_name(value)} into Go value of type string"
        _TEXTS[code](value)
    except TypeError:
        return quantity.BAD_FORMAT
    except ValueError as error:
        return timestamps.fault(value, is_micro=code == "u") if code in ("t", "u") else str(error)
    return ""


def _zero(type_: facts.Type) -> Any:
    if type_.code == "a":
        return []
    return _ZEROS.get(type_.code, {})


def _go_name(type_: facts.Type) -> str:
    if type_.code == "@":
        return _go_title(facts.definition(type_.name))
    return _GO_TYPES.get(type_.code, "string")


def _go_title(definition: facts.Definition) -> str:
    """Name a struct with its package: "v1.PodSpec"."""
    return ".".join(definition.name.split(".")[-2:])


def _wrong(value: Any, title: str, plain: str, wanted: str) -> WrongType:
    name = json_name(value, wanted)
    return WrongType(f"json: cannot unmarshal {name} into Go struct field {title}.{plain} of type {wanted}")


def json_name(value: Any, wanted: str = "") -> str:
    """Name a value's type as Go's decoder does, with a number's digits where it was to be an integer."""
    match value:
        case str():
            return "string"
        case bool():
            return "bool"
        case int() | float():
            return f"number {value}" if wanted in ("int32", "int64") else "number"
        case list():
            return "array"
        case None:
            return "null"
    return "object"
