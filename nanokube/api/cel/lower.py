"""From a checked tree to one that the C++ runtime evaluates. Pure.

What is changed: names of properties are unescaped; calls of our functions take one list (see `runtime`);
structs become maps; quantities, versions, and lists that schemas call sets or maps are compared by us.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable

from nanokube.api.cel import escaping, runtime, syntax, types
from nanokube.api.cel.check import Checked
from nanokube.api.cel.library.functions import FUNCTIONS
from nanokube.api.cel.syntax import Call, Const, Entry, Expr, Fold, Ident, ListExpr, MapExpr, Select, Struct
from nanokube.api.cel.types import Type

_BY_VALUE = frozenset({"kubernetes.Quantity", "kubernetes.Semver"})  # their texts differ for equal values
_OPTIONAL_RESULTS = frozenset({"validate", "format.named"})
_ZEROS = {"double": ("double", 0.0), "duration": ("string", "duration")}
_HELD = "@held"


def lower(checked: Checked, rename: Callable[[str, str], str | None]) -> Expr:
    """Write a tree for the runtime.

    rename: what `variable.field` is called if the field is bound apart; None if it is not.
    """
    return _Lowerer(checked, rename).visit(checked.root)


def renumbered(root: Expr) -> Expr:
    """Give every node an id of its own, as the runtime asks of trees put together of several."""
    ids = itertools.count(1)

    def renumber(node: Expr) -> Expr:
        copied = dataclasses.replace(syntax.rebuild(node, renumber), id=next(ids))
        if isinstance(copied, MapExpr | Struct):
            copied.entries = [dataclasses.replace(entry, id=next(ids)) for entry in copied.entries]
        return copied

    return renumber(root)


class _Lowerer:
    def __init__(self, checked: Checked, rename: Callable[[str, str], str | None]) -> None:
        self.types = checked.types
        self.overloads = checked.overloads
        self.rename = rename

    def visit(self, node: Expr) -> Expr:
        match node:
            case Ident():
                return dataclasses.replace(node, name=node.name.removeprefix("."))
            case Select():
                return self.select(node)
            case Struct():
                return self.struct(node)
            case Call():
                return self.call(node)
            case Fold() if isinstance(node.initial, MapExpr) and not node.initial.entries:
                return self.transformation(node)
        return syntax.rebuild(node, self.visit)

    def transformation(self, node: Fold) -> Expr:
        """Gather entries in a list and make the map of them at the end, not a new map at each turn."""

        def gather(step: Expr) -> Expr:
            if isinstance(step, Call) and step.function == "_?_:_":
                return dataclasses.replace(step, args=[*step.args[:1], gather(step.args[1]), *step.args[2:]])
            assert isinstance(step, Call)
            entry = step.args[1] if len(step.args) == 2 else ListExpr(0, step.args[1:])
            return Call(step.id, None, "_+_", [step.args[0], ListExpr(0, [entry])])

        self.types.setdefault(0, types.DYN)
        given = dataclasses.replace(node, initial=ListExpr(node.initial.id, []), step=gather(node.step))
        made = syntax.rebuild(given, self.visit)
        assert isinstance(made, Fold)
        entries = Call(0, None, runtime.PREFIX + "@mapOf", [ListExpr(0, [made.result])])
        return dataclasses.replace(made, result=entries)

    def select(self, node: Select) -> Expr:
        if isinstance(node.operand, Ident):
            apart = self.rename(node.operand.name, node.field)
            if apart is not None:
                return Const(node.id, "bool", True) if node.test else Ident(node.id, apart)
        field, operand = self.property(node.operand, node.field), self.visit(node.operand)
        if not node.test and self.types[node.operand.id].kind == "opaque":
            # The runtime gives up at a field of an optional that holds no map; an index is an error as others
            # are, which an operand of && or || may make good.
            return Call(node.id, None, "_[_]", [operand, Const(0, "string", field)])
        return dataclasses.replace(node, operand=operand, field=field)

    def property(self, operand: Expr, field: str) -> str:
        """The key behind a field of a declared object; maps are asked as they are."""
        owner = self.types[operand.id]
        if owner.kind == "opaque" and owner.params:
            owner = owner.params[0]
        return (escaping.unescape(field) or field) if owner.kind == "struct" else field

    def struct(self, node: Struct) -> Expr:
        made = [
            Entry(
                entry.id,
                Const(0, "string", escaping.unescape(entry.key) or entry.key),
                self.visit(entry.value),
                entry.optional,
            )
            for entry in node.entries
        ]
        return MapExpr(node.id, made)

    def call(self, node: Call) -> Expr:
        if node.function == "_?._":
            operand, field = node.args
            assert isinstance(field, Const)
            name = dataclasses.replace(field, value=self.property(operand, field.value))
            return dataclasses.replace(node, args=[self.visit(operand), name])
        if node.function in ("_==_", "_!=_", "_+_"):
            return self.operator(node)
        if node.function.startswith("format.") and node.function != "format.named":
            return self.ours("@format", [Const(0, "string", node.function.removeprefix("format."))], node)
        if node.function in FUNCTIONS and not self.is_native(node):
            return self.ours(node.function, self.operands(node), node)
        return syntax.rebuild(node, self.visit)

    def operands(self, node: Call) -> list[Expr]:
        given = node.args if node.target is None else [node.target, *node.args]
        args = [self.visit(arg) for arg in given]
        if node.function == "sum":
            element = self.types[given[0].id]
            kind = element.params[0].kind if element.params else ""
            args.append(Const(0, *_ZEROS.get(kind, ("int", 0))))
        return args

    def is_native(self, node: Call) -> bool:
        """Whether the runtime has the function for these operands."""
        overloads = self.overloads.get(node.id, ())
        if node.function in ("indexOf", "lastIndexOf"):
            return all(name.startswith("string_") for name in overloads)
        return node.function == "string" and not all(name.startswith(("ip_", "cidr_")) for name in overloads)

    def operator(self, node: Call) -> Expr:
        left, right = node.args
        types = [self.types[left.id], self.types[right.id]]
        args = [self.visit(left), self.visit(right)]
        shapes = [found for given in types if (found := shape_of(given)) is not None]
        if node.function == "_+_":
            if not types[0].list_type:
                return dataclasses.replace(node, args=args)
            return self.ours("@addAs", [Const(0, "string", json.dumps(shape_of(types[0]))), *args], node)
        if shapes:
            compared = self.ours("@equalAs", [Const(0, "string", json.dumps(shapes[0])), *args], node)
        elif any(given.name in _BY_VALUE for given in types):
            compared = self.ours("@equal", args, node)
        else:
            return dataclasses.replace(node, args=args)
        return compared if node.function == "_==_" else Call(node.id, None, "!_", [compared])

    def ours(self, name: str, args: list[Expr], node: Call) -> Expr:
        called: Expr = Call(node.id, None, runtime.PREFIX + name, [ListExpr(0, args)])
        if name in _OPTIONAL_RESULTS:
            return _optional(called)
        if self.types[node.id].kind == "uint":
            return Call(0, None, "uint", [called])  # Python has one kind of integers
        return called


def _optional(value: Expr) -> Expr:
    """Bind a value that may be null; none if it is."""
    held = Ident(0, _HELD)
    is_null = Call(0, None, "_==_", [held, Const(0, "null", None)])
    result = Call(
        0,
        None,
        "_?_:_",
        [is_null, Call(0, None, "optional.none", []), Call(0, None, "optional.of", [Ident(0, _HELD)])],
    )
    return Fold(
        0, "#unused", "", ListExpr(0, []), _HELD, value, Const(0, "bool", False), Ident(0, _HELD), result
    )


def shape_of(given: Type) -> dict[str, object] | None:
    """Say where a type has lists that compare without order; None if nowhere. See `library.shapes`."""
    if given.kind == "list":
        element = shape_of(given.params[0])
        if given.list_type == "set":
            return {"s": {}}
        if given.list_type == "map":
            return {"k": list(given.list_keys), "e": element}
        return {"e": element} if element is not None else None
    if given.kind == "map":
        element = shape_of(given.params[1])
        return {"e": element} if element is not None else None
    if given.fields:
        found = {
            escaping.unescape(name) or name: shape
            for name, field in given.fields.items()
            if (shape := shape_of(field)) is not None
        }
        return {"f": found} if found else None
    return None
