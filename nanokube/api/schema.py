"""Type checks, pruning and strict decoding of built-in kinds against the table of facts. Pure.

The fast way is a typed decode by msgspec into structs generated from the table, which checks types and
drops unknown fields, and zeros where Go's `omitempty` does, at the price of parsing. Only when that fails
does a slow walker name every unknown field and the first wrong type in Kubernetes' words. Null means absent;
quantities and times are rewritten canonically, as Go's codecs do.
Source: sigs.k8s.io/json (strict errors), apimachinery/pkg/runtime/serializer/json.
"""

from __future__ import annotations

import keyword
import re
import sys
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Final, Optional, Union

import msgspec

from nanokube.api import errors, facts, json_syntax, jsonkeys, scalars, walk
from nanokube.api.objects import MutableObject

STRICT: Final = "Strict"
STRICT_ERROR: Final = "strict decoding error"
NO_KIND: Final = "couldn't get version/kind"
EXPLAINED_BYTES: Final = 64 << 10  # of malformed JSON
"""How the refusal begins of what is not even an object of some kind."""
WARN: Final = "Warn"
IGNORE: Final = "Ignore"

Int32 = Annotated[int, msgspec.Meta(ge=-(1 << 31), le=(1 << 31) - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]

# A field of these types whose zero Go leaves out has the zero as its default, which encoding omits.
_ZEROS: Final[Mapping[str, Any]] = {"s": "", "b": False, "i": 0, "l": 0, "y": scalars.NO_BYTES}
_FACTORIES: Final[Mapping[str, Any]] = {"a": list, "m": dict}

# what may stand where a JSON schema may; None: a list of schemas
_CHOICES: Final[Mapping[str, Any]] = {
    facts.SCHEMA_OR_LIST: None,
    facts.SCHEMA_OR_BOOLEAN: bool,
    facts.SCHEMA_OR_STRINGS: list[str],
}

_SCALARS: Final[Mapping[str, Any]] = {
    "s": str,
    "b": bool,
    "i": Int32,
    "l": Int64,
    "n": int | float,  # 1 stays 1: clients compare what they sent with what they get
    "y": scalars.Base64Text,
    "q": scalars.QuantityText,
    "x": str | Int32,
    "t": scalars.TimeText,
    "u": scalars.MicroTimeText,
    "*": Any,
}


class Schema:
    """Decoder and cleaner of one kind."""

    def __init__(self, definition: facts.Definition) -> None:
        self.definition = definition
        self._struct = _struct(definition.name)
        self._decoder = msgspec.json.Decoder(self._struct, dec_hook=scalars.decode)

    def decode(self, body: bytes, field_validation: str = IGNORE) -> tuple[MutableObject, list[str]]:
        """Parse JSON into a typed, pruned object and the warnings for `field_validation=Warn`.

        Raises ApiError (400): malformed JSON, wrong types, or strict violations under "Strict".
        """
        try:
            typed = self._decoder.decode(body)
        except UnicodeDecodeError:
            return self.decode(_with_replacements(body), field_validation)
        except (msgspec.DecodeError, ValueError, RecursionError):
            obj, problems = self._decode_slowly(body)
        else:
            obj, problems = msgspec.to_builtins(typed, enc_hook=str), []
            # equal length means that nothing was dropped, so no key stood there twice
            if field_validation == IGNORE or len(msgspec.json.encode(typed, enc_hook=str)) == len(
                body.rstrip()
            ):
                return obj, []
        if field_validation == IGNORE:
            return obj, []
        problems += (f'duplicate field "{path}"' for path in jsonkeys.duplicates(body))
        return obj, report(problems, field_validation)

    def clean(self, obj: Mapping[str, Any]) -> tuple[MutableObject, list[str]]:
        """Check and prune an object already parsed; returns a new tree and its `unknown field "…"` problems.

        Raises ApiError (400) on a wrong type.
        """
        found = self.clean_quickly(obj)
        return self._walk(obj) if found is None else (found, [])

    def clean_quickly(self, obj: Mapping[str, Any]) -> MutableObject | None:
        """Return the canonical form of an object that has nothing to prune, None if it has."""
        try:
            typed = msgspec.convert(obj, self._struct, dec_hook=scalars.decode)
        except (msgspec.ValidationError, ValueError):
            return None
        found: MutableObject = msgspec.to_builtins(typed, enc_hook=str)
        return found

    def around(self, name: str) -> msgspec.json.Decoder[Any]:
        """Make a decoder that leaves the field of that name as the bytes it stands in (b"": absent)."""
        fields = [
            (each.name, msgspec.Raw, msgspec.Raw(b""))
            if each.encode_name == name
            else (each.name, each.type, _default(each))
            for each in msgspec.structs.fields(self._struct)
        ]
        found = msgspec.defstruct(
            f"{self._struct.__name__}_around_{name}",
            fields,
            rename={each.name: each.encode_name for each in msgspec.structs.fields(self._struct)},
            omit_defaults=True,
            forbid_unknown_fields=True,
            gc=False,
        )
        return msgspec.json.Decoder(found, dec_hook=scalars.decode)

    def _decode_slowly(self, body: bytes) -> tuple[MutableObject, list[str]]:
        return self._walk(decode_json(body))

    def _walk(self, tree: Any) -> tuple[MutableObject, list[str]]:
        title = self.definition.title
        version = self.definition.kind[1] if self.definition.kind else "v1"
        try:
            return walk.prune(self.definition, tree)
        except walk.WrongType as error:
            message = f'{title} in version "{version}" cannot be handled as a {title}: {error}'
            raise errors.bad_request(message) from error


def report(problems: list[str], field_validation: str) -> list[str]:
    """Return problems as warnings, or none under "Ignore". Raises ApiError (400) under "Strict"."""
    if field_validation == STRICT and problems:
        raise errors.bad_request(f"{STRICT_ERROR}: {', '.join(problems)}")
    return problems if field_validation == WARN else []


@cache
def get(group: str, version: str, kind: str) -> Schema | None:
    """Return the schema of a built-in kind (also of bodies such as Scale, Binding, DeleteOptions)."""
    name = facts.name_of(group, version, kind)
    return Schema(facts.definition(name)) if name else None


def decode_json(body: bytes) -> Any:
    """Parse JSON without a schema; bytes that are no UTF-8 become U+FFFD, as in Go. Raises ApiError (400)."""
    try:
        return parse_json(body)
    except ValueError as error:
        raise errors.bad_request(f"{NO_KIND}; json parse error: {error}") from error


def parse_json(body: bytes) -> Any:
    """Parse JSON as decode_json does. Raises ValueError with Go's words, of a long body with the parser's.

    To find Go's words takes up to 1 us a byte, in which nobody else would be served.
    """
    try:
        return msgspec.json.decode(body)
    except UnicodeDecodeError:
        return parse_json(_with_replacements(body))
    except (msgspec.DecodeError, RecursionError) as error:
        if len(body) > EXPLAINED_BYTES:
            raise ValueError(str(error)) from error
        raise ValueError(json_syntax.fault(body) or "exceeded max depth") from error


def _with_replacements(body: bytes) -> bytes:
    return body.decode("utf-8", "replace").encode()


# Kinds share structs: a pod spec, of which workloads have templates, is built once.
_built: Final[dict[str, Any]] = {}
# Where structs that contain themselves are found by name.
_names: Final = types.ModuleType(f"{__name__}.structs")
sys.modules[_names.__name__] = _names


def _struct(name: str) -> Any:
    return _structs(name, (), _built)


def _structs(name: str, above: tuple[str, ...], memo: dict[str, Any]) -> Any:
    """Build the struct of a definition; a reference to one that is being built is by name."""
    if name in above:
        return _class_name(name)
    if name in memo:
        return memo[name]
    definition, inner = facts.definition(name), (*above, name)
    if definition.scalar is not None:
        return _SCALARS[definition.scalar.code]
    fields, rename = list[tuple[str, Any, Any]](), {}
    for key, field in definition.fields.items():
        python = key if key.isidentifier() and not keyword.iskeyword(key) else "f_" + re.sub(r"\W", "_", key)
        if python != key:
            rename[python] = key
        annotation = _annotation(field.type, inner, memo)
        if not field.drops_zero:
            fields.append((python, Optional[annotation], None))  # noqa: UP045
        elif field.type.code in _FACTORIES:
            factory = msgspec.field(default_factory=_FACTORIES[field.type.code])
            fields.append((python, annotation, factory))
        else:
            fields.append((python, annotation, _ZEROS[field.type.code]))
    memo[name] = msgspec.defstruct(
        _class_name(name),
        fields,
        module=_names.__name__,
        rename=rename or None,
        omit_defaults=True,
        forbid_unknown_fields=True,
        gc=False,
    )
    setattr(_names, _class_name(name), memo[name])
    return memo[name]


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default


def _class_name(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _annotation(type_: facts.Type, above: tuple[str, ...], memo: dict[str, Any]) -> Any:
    build: Callable[[facts.Type], Any] = lambda t: _annotation(t, above, memo)  # noqa: E731
    if type_.code == "@":
        return _structs(type_.name, above, memo)
    if type_.code in _CHOICES:
        assert type_.item is not None
        return Union[build(type_.item), _CHOICES[type_.code] or list[build(type_.item)]]  # type: ignore[misc]  # noqa: UP007
    if type_.code == "a":
        assert type_.item is not None
        return list[build(type_.item)]  # type: ignore[misc]
    if type_.code == "m":
        assert type_.item is not None
        return dict[str, build(type_.item)]  # type: ignore[misc]
    return _SCALARS[type_.code]
