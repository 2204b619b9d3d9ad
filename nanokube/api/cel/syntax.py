"""Syntax trees of CEL, and their encoding as cel.expr.ParsedExpr. Pure.

The library parses and prints this message; we read it to check and to estimate, change what the library
lacks, and hand it back. Field numbers: github.com/google/cel-spec proto/cel/expr/syntax.proto.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


@dataclasses.dataclass(slots=True, eq=False)
class Const:
    id: int
    kind: str  # null, bool, int, uint, double, string, bytes
    value: Any


@dataclasses.dataclass(slots=True, eq=False)
class Ident:
    id: int
    name: str


@dataclasses.dataclass(slots=True, eq=False)
class Select:
    id: int
    operand: Expr
    field: str
    test: bool = False  # has(operand.field)


@dataclasses.dataclass(slots=True, eq=False)
class Call:
    id: int
    target: Expr | None
    function: str
    args: list[Expr]


@dataclasses.dataclass(slots=True, eq=False)
class ListExpr:
    id: int
    elements: list[Expr]
    optional: frozenset[int] = frozenset()


@dataclasses.dataclass(slots=True, eq=False)
class Entry:
    """One entry of a map (key is an expression) or of a struct (key is a field's name)."""

    id: int
    key: Any
    value: Expr
    optional: bool = False


@dataclasses.dataclass(slots=True, eq=False)
class MapExpr:
    id: int
    entries: list[Entry]


@dataclasses.dataclass(slots=True, eq=False)
class Struct:
    id: int
    name: str
    entries: list[Entry]


@dataclasses.dataclass(slots=True, eq=False)
class Fold:
    """A comprehension. second: the second iteration variable, or empty."""

    id: int
    variable: str
    second: str
    range: Expr
    accumulator: str
    initial: Expr
    condition: Expr
    step: Expr
    result: Expr


Expr = Const | Ident | Select | Call | ListExpr | MapExpr | Struct | Fold


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """An expression's text and where its nodes begin: offsets in code points by node id."""

    text: str
    positions: dict[int, int]
    lines: tuple[int, ...]  # offset of each line's end, exclusive of the next line's start

    def location(self, node: int) -> tuple[int, int]:
        """Find a node's line (from 1) and column (from 0); (-1, -1) if unknown, as cel-go has it."""
        offset = self.positions.get(node)
        if offset is None:
            return -1, -1
        line = bisect.bisect_right(self.lines, offset)
        return line + 1, offset - (self.lines[line - 1] if line else 0)


def children(node: Expr) -> Iterator[Expr]:
    """Yield the direct subexpressions, in order of evaluation."""
    match node:
        case Select():
            yield node.operand
        case Call():
            if node.target is not None:
                yield node.target
            yield from node.args
        case ListExpr():
            yield from node.elements
        case MapExpr():
            for entry in node.entries:
                yield entry.key
                yield entry.value
        case Struct():
            for entry in node.entries:
                yield entry.value
        case Fold():
            yield from (node.range, node.initial, node.condition, node.step, node.result)


def walk(node: Expr) -> Iterator[Expr]:
    """Yield a tree's nodes, parents first."""
    yield node
    for child in children(node):
        yield from walk(child)


def rebuild(node: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """Copy one node with its children changed."""
    match node:
        case Select():
            return dataclasses.replace(node, operand=change(node.operand))
        case Call():
            target = None if node.target is None else change(node.target)
            return dataclasses.replace(node, target=target, args=[change(arg) for arg in node.args])
        case ListExpr():
            return dataclasses.replace(node, elements=[change(item) for item in node.elements])
        case MapExpr():
            entries = [
                dataclasses.replace(entry, key=change(entry.key), value=change(entry.value))
                for entry in node.entries
            ]
            return dataclasses.replace(node, entries=entries)
        case Struct():
            fields = [dataclasses.replace(entry, value=change(entry.value)) for entry in node.entries]
            return dataclasses.replace(node, entries=fields)
        case Fold():
            return dataclasses.replace(
                node,
                range=change(node.range),
                initial=change(node.initial),
                condition=change(node.condition),
                step=change(node.step),
                result=change(node.result),
            )
    return node


# --- encoding -----------------------------------------------------------------------------------------

_STRING, _BYTES, _INT64, _UINT64, _BOOL, _DOUBLE, _INT32, _MESSAGE = 9, 12, 3, 4, 8, 1, 5, 11
_MESSAGES: dict[str, tuple[tuple[str, int, int, str], ...]] = {  # name, number, type, "*" or message
    "Any": (("type_url", 1, _STRING, ""), ("value", 2, _BYTES, "")),
    "Position": (("key", 1, _INT64, ""), ("value", 2, _INT32, "")),
    "SourceInfo": (("line_offsets", 3, _INT32, "*"), ("positions", 4, _MESSAGE, "*Position")),
    "ParsedExpr": (("expr", 2, _MESSAGE, "Expr"), ("source_info", 3, _MESSAGE, "SourceInfo")),
    "Expr": (
        ("id", 2, _INT64, ""),
        ("const", 3, _MESSAGE, "Constant"),
        ("ident", 4, _MESSAGE, "Ident"),
        ("select", 5, _MESSAGE, "Select"),
        ("call", 6, _MESSAGE, "Call"),
        ("list", 7, _MESSAGE, "CreateList"),
        ("struct", 8, _MESSAGE, "CreateStruct"),
        ("fold", 9, _MESSAGE, "Comprehension"),
    ),
    "Ident": (("name", 1, _STRING, ""),),
    "Select": (("operand", 1, _MESSAGE, "Expr"), ("field", 2, _STRING, ""), ("test_only", 3, _BOOL, "")),
    "Call": (("target", 1, _MESSAGE, "Expr"), ("function", 2, _STRING, ""), ("args", 3, _MESSAGE, "*Expr")),
    "CreateList": (("elements", 1, _MESSAGE, "*Expr"), ("optional_indices", 2, _INT32, "*")),
    "CreateStruct": (("message_name", 1, _STRING, ""), ("entries", 2, _MESSAGE, "*Entry")),
    "Entry": (
        ("id", 1, _INT64, ""),
        ("field_key", 2, _STRING, ""),
        ("map_key", 3, _MESSAGE, "Expr"),
        ("value", 4, _MESSAGE, "Expr"),
        ("optional_entry", 5, _BOOL, ""),
    ),
    "Comprehension": (
        ("iter_var", 1, _STRING, ""),
        ("iter_range", 2, _MESSAGE, "Expr"),
        ("accu_var", 3, _STRING, ""),
        ("accu_init", 4, _MESSAGE, "Expr"),
        ("loop_condition", 5, _MESSAGE, "Expr"),
        ("loop_step", 6, _MESSAGE, "Expr"),
        ("result", 7, _MESSAGE, "Expr"),
        ("iter_var2", 8, _STRING, ""),
    ),
    "Constant": (
        ("null_value", 1, _INT32, "?"),
        ("bool_value", 2, _BOOL, "?"),
        ("int64_value", 3, _INT64, "?"),
        ("uint64_value", 4, _UINT64, "?"),
        ("double_value", 5, _DOUBLE, "?"),
        ("string_value", 6, _STRING, "?"),
        ("bytes_value", 7, _BYTES, "?"),
    ),
}
_TYPE_URL = "type.googleapis.com/cel.expr.ParsedExpr"
_CONSTANTS = ("null", "bool", "int64", "uint64", "double", "string", "bytes")
_KINDS = {"int64": "int", "uint64": "uint"}
_FIELDS = {"int": "int64", "uint": "uint64"}


def _classes() -> dict[str, Any]:
    package = "nanokube.cel"
    file = descriptor_pb2.FileDescriptorProto(name="nanokube/cel.proto", package=package, syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, more in fields:
            label = 3 if more.startswith("*") else 1
            added = message.field.add(name=field, number=number, type=kind, label=label)
            if kind == _MESSAGE:
                added.type_name = f".{package}.{more.removeprefix('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    find = pool.FindMessageTypeByName
    return {name: message_factory.GetMessageClass(find(f"{package}.{name}")) for name in _MESSAGES}


_CLASSES = _classes()


def decode(data: bytes, text: str) -> tuple[Expr, Source]:
    """Read a serialized ParsedExpr of the source `text`."""
    envelope = _CLASSES["Any"].FromString(data)
    parsed = _CLASSES["ParsedExpr"].FromString(envelope.value)
    positions = {item.key: item.value for item in parsed.source_info.positions}
    return _read(parsed.expr), Source(text, positions, tuple(parsed.source_info.line_offsets[:-1]))


def encode(node: Expr) -> bytes:
    """Write a ParsedExpr as the library reads it. Field and map names are not checked."""
    parsed = _CLASSES["ParsedExpr"]()
    _write(node, parsed.expr)
    envelope = _CLASSES["Any"](type_url=_TYPE_URL, value=parsed.SerializeToString())
    return bytes(envelope.SerializeToString())


def _read(message: Any) -> Expr:
    if message.HasField("const"):
        return _read_const(message)
    if message.HasField("ident"):
        return Ident(message.id, message.ident.name)
    if message.HasField("select"):
        select = message.select
        return Select(message.id, _read(select.operand), select.field, select.test_only)
    if message.HasField("call"):
        call = message.call
        target = _read(call.target) if call.HasField("target") else None
        return Call(message.id, target, call.function, [_read(arg) for arg in call.args])
    if message.HasField("list"):
        elements = [_read(item) for item in message.list.elements]
        return ListExpr(message.id, elements, frozenset(message.list.optional_indices))
    if message.HasField("struct"):
        return _read_struct(message)
    if message.HasField("fold"):
        return _read_fold(message)
    raise ValueError(f"cannot read expression {message.id}: it has no kind")


def _read_const(message: Any) -> Const:
    for name in _CONSTANTS:
        if message.const.HasField(f"{name}_value"):
            value = None if name == "null" else getattr(message.const, f"{name}_value")
            return Const(message.id, _KINDS.get(name, name), value)
    raise ValueError(f"cannot read constant {message.id}: it has no value")


def _read_struct(message: Any) -> Expr:
    made = message.struct
    if made.message_name:
        return Struct(
            message.id,
            made.message_name,
            [Entry(item.id, item.field_key, _read(item.value), item.optional_entry) for item in made.entries],
        )
    return MapExpr(
        message.id,
        [
            Entry(item.id, _read(item.map_key), _read(item.value), item.optional_entry)
            for item in made.entries
        ],
    )


def _read_fold(message: Any) -> Fold:
    fold = message.fold
    return Fold(
        message.id,
        fold.iter_var,
        fold.iter_var2,
        _read(fold.iter_range),
        fold.accu_var,
        _read(fold.accu_init),
        _read(fold.loop_condition),
        _read(fold.loop_step),
        _read(fold.result),
    )


def _write(node: Expr, message: Any) -> None:
    message.id = node.id
    match node:
        case Const():
            name = _FIELDS.get(node.kind, node.kind)
            setattr(message.const, f"{name}_value", 0 if node.value is None else node.value)
        case Ident():
            message.ident.name = node.name
        case Select():
            _write(node.operand, message.select.operand)
            message.select.field = node.field
            message.select.test_only = node.test
        case Call():
            message.call.function = node.function
            if node.target is not None:
                _write(node.target, message.call.target)
            for arg in node.args:
                _write(arg, message.call.args.add())
        case ListExpr():
            message.list.SetInParent()
            for element in node.elements:
                _write(element, message.list.elements.add())
            message.list.optional_indices.extend(sorted(node.optional))
        case MapExpr() | Struct():
            _write_struct(node, message.struct)
        case Fold():
            _write_fold(node, message.fold)


def _write_struct(node: MapExpr | Struct, message: Any) -> None:
    message.SetInParent()
    if isinstance(node, Struct):
        message.message_name = node.name
    for entry in node.entries:
        added = message.entries.add(id=entry.id, optional_entry=entry.optional)
        if isinstance(node, Struct):
            added.field_key = entry.key
        else:
            _write(entry.key, added.map_key)
        _write(entry.value, added.value)


def _write_fold(node: Fold, message: Any) -> None:
    message.iter_var = node.variable
    if node.second:
        message.iter_var2 = node.second
    message.accu_var = node.accumulator
    for field in ("range", "initial", "condition", "step", "result"):
        _write(getattr(node, field), getattr(message, _FOLD_FIELDS[field]))


_FOLD_FIELDS = {
    "range": "iter_range",
    "initial": "accu_init",
    "condition": "loop_condition",
    "step": "loop_step",
    "result": "result",
}
