"""The compact table of built-in definitions: field names, types, list keys, patch keys. Pure, read once on
first use.

`data/schemas.json` is written by `scripts/generate-schemas`. One definition is `{"f": fields, "r": required,
"k": [group, version, kind], ...}` or `{"t": type}` for a scalar; a field is a type or `[type, attributes]`.
Types:
s string, b boolean, i int32, l int64, n number, y base64, q quantity, x int-or-string, t time, u micro
time, * any,
["a", T] list, ["m", T] map, "@name" another definition; A, B, C a JSON schema or a list of them, a boolean, a
list of strings. Attributes: lt list type, lk list map keys, mt map
type, ps patch strategy, pk patch merge key, df default of a list key. `data/zeros.json` adds what Go does
with zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

ANY: Final = "*"
SCHEMA_OR_LIST: Final = "A"
SCHEMA_OR_BOOLEAN: Final = "B"
SCHEMA_OR_STRINGS: Final = "C"
_CHOICES: Final = {
    "JSONSchemaPropsOrArray": SCHEMA_OR_LIST,
    "JSONSchemaPropsOrBool": SCHEMA_OR_BOOLEAN,
    "JSONSchemaPropsOrStringArray": SCHEMA_OR_STRINGS,
}
UNTYPED: Final = frozenset((ANY, *_CHOICES.values()))
"""Codes of values that patches and apply take as a whole."""
_SCALAR_ZEROS: Final[Mapping[str, Any]] = {"s": "", "b": False, "i": 0, "l": 0}
_DATA: Final = Path(__file__).with_name("data") / "schemas.json"
_ZEROS: Final = _DATA.with_name("zeros.json")


@dataclass(frozen=True, slots=True)
class Type:
    """A type: `code` is a scalar's letter, "a" list, "m" map, "@" definition.

    item: of a list or map. name: of the definition. struct: the definition itself, if it is not in the table
    because it is a custom resource's.
    """

    code: str
    item: Type | None = None
    name: str = ""
    struct: Definition | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a definition and how patches and apply treat it.

    drops_zero: Go leaves its zero out of JSON. is_written: a struct that Go writes though it is empty.
    is_granular: of a struct that is atomic elsewhere, owned field by field here.
    is_present: a field that Go writes in any case, if only as {} or null. zero: what Go writes of a scalar
    that nobody sets, where it writes it in any case. is_nullable: what it writes null for, if nobody sets it.
    """

    type: Type
    list_type: str = "atomic"
    list_keys: tuple[str, ...] = ()
    is_atomic: bool = False
    is_granular: bool = False
    patch_strategies: frozenset[str] = frozenset()
    merge_key: str = ""
    default: Any = None
    drops_zero: bool = False
    is_written: bool = False
    is_present: bool = False
    zero: Any = None
    is_nullable: bool = False


@dataclass(frozen=True, slots=True)
class Definition:
    """A struct of the API.

    resets: paths that an endpoint, by subresource, does not write; None: the rules of built-in kinds.
    """

    name: str
    fields: Mapping[str, Field]
    required: frozenset[str]
    is_atomic: bool
    scalar: Type | None = None
    kind: tuple[str, str, str] | None = field(default=None)
    resets: Mapping[str, tuple[str, ...]] | None = None

    @property
    def title(self) -> str:
        """The Go struct's name."""
        return self.name.rpartition(".")[2]

    @property
    def type(self) -> Type:
        """The type whose values this describes."""
        return Type("@", name=self.name, struct=self)


@cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = orjson.loads(_DATA.read_bytes())
    return table


@cache
def _zeros() -> Mapping[str, Any]:
    table: Mapping[str, Any] = orjson.loads(_ZEROS.read_bytes())
    return table


@cache
def _names_by_kind() -> Mapping[tuple[str, str, str], str]:
    return {(k[0], k[1], k[2]): name for name, facts in _table().items() if (k := facts.get("k"))}


def names() -> list[str]:
    """Return the names of all definitions."""
    return list(_table())


def name_of(group: str, version: str, kind: str) -> str | None:
    """Return the name of the definition of a group, version and kind, if there is one."""
    if kind == "DeleteOptions":  # registered in every group, so its group-version-kind is ambiguous
        return "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
    return _names_by_kind().get((group, version, kind))


@cache
def definition(name: str) -> Definition:
    """Return a definition by its full name. Raises KeyError."""
    facts = _table()[name]
    kind, required = facts.get("k"), frozenset[str](facts.get("r", ()))
    zeros: Sequence[Sequence[str]] = _zeros().get(name, ((), (), (), (), ()))
    return Definition(
        name=name,
        fields={
            k: _field(v, k in required, *(k in names for names in zeros))
            for k, v in facts.get("f", {}).items()
        },
        required=required,
        is_atomic=facts.get("mt") == "atomic",
        scalar=_type(facts["t"]) if "t" in facts else None,
        kind=(kind[0], kind[1], kind[2]) if kind else None,
    )


def is_built_in(type_: Type) -> bool:
    """Tell whether a type's definition is in the table, and no custom resource's."""
    return type_.name in _table()


def struct_of(type_: Type) -> Definition:
    """Return the definition of a type with code "@". Raises KeyError."""
    return type_.struct or definition(type_.name)


def _field(
    code: Any,
    is_required: bool,
    drops_zero: bool,
    is_written: bool,
    is_present: bool,
    has_zero: bool,
    is_nullable: bool,
) -> Field:
    has_attributes = type(code) is list and type(code[1]) is dict
    code, extra = (code[0], code[1]) if has_attributes else (code, {})
    type_ = _type(code)
    return Field(
        type=type_,
        list_type=extra.get("lt", "atomic"),
        list_keys=tuple(extra.get("lk", ())),
        is_atomic=extra.get("mt") == "atomic",
        is_granular=extra.get("mt") == "granular",
        patch_strategies=frozenset(extra.get("ps", "").split(",")) - {""},
        merge_key=extra.get("pk", ""),
        default=extra.get("df"),
        drops_zero=(drops_zero and type_.code in "sbilam") or (type_.code == "y" and not is_required),
        is_written=is_written and type_.code == "@",
        is_present=is_written or is_present,
        zero=_SCALAR_ZEROS[type_.code] if has_zero else None,
        is_nullable=is_nullable,
    )


def _type(code: Any) -> Type:
    if type(code) is list:
        return Type(code[0], _type(code[1]))
    if code[0] == "@":
        package, _, title = code[1:].rpartition(".")
        if title in _CHOICES:
            return Type(_CHOICES[title], Type("@", name=f"{package}.JSONSchemaProps"))
        scalar = _table()[code[1:]].get("t")
        return _type(scalar) if scalar else Type("@", name=code[1:])
    return Type(code)
