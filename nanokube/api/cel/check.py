"""The type checker. Pure.

Source: cel-go checker/checker.go, whose messages these are, and cel/validator.go for what Kubernetes asks
beyond: literals of durations, times and patterns, lists and maps of one type.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from nanokube.api.cel import declarations, syntax, types, unify
from nanokube.api.cel.declarations import Functions
from nanokube.api.cel.errors import Issue
from nanokube.api.cel.escaping import RESERVED
from nanokube.api.cel.syntax import Call, Const, Expr, Fold, Ident, ListExpr, MapExpr, Select, Struct
from nanokube.api.cel.types import Type

_TYPE_NAMES = declarations.type_names()
_CONSTANTS = {t.kind: t for t in (types.BOOL, types.BYTES, types.DOUBLE, types.INT, types.STRING, types.UINT)}
_CONSTANTS["null"] = types.NULL


@dataclasses.dataclass(frozen=True, slots=True)
class Checked:
    """A checked tree: names resolved, with types and overloads by node id."""

    root: Expr
    types: dict[int, Type]
    overloads: dict[int, tuple[str, ...]]
    issues: list[Issue]


def check(
    root: Expr,
    variables: Mapping[str, Type],
    functions: Functions,
    structs: Callable[[str], Type | None],
) -> Checked:
    """Resolve names and overloads of a parsed tree.

    structs: finds the type that `Name{…}` makes.
    """
    checker = _Checker(variables, functions, structs)
    root = checker.visit(root)
    found = {
        node: unify.substitute(checker.bindings, given, free_to_dyn=True)
        for node, given in checker.types.items()
    }
    return Checked(root, found, checker.overloads, checker.issues)


class _Checker:
    def __init__(
        self,
        variables: Mapping[str, Type],
        functions: Functions,
        structs: Callable[[str], Type | None],
    ) -> None:
        self.scopes: list[Mapping[str, Type]] = [_TYPE_NAMES, variables]
        self.functions = functions
        self.structs = structs
        self.types: dict[int, Type] = {}
        self.overloads: dict[int, tuple[str, ...]] = {}
        self.issues: list[Issue] = []
        self.bindings: unify.Bindings = {}
        self.fresh = 0

    def visit(self, node: Expr) -> Expr:
        """Check a node and what is below it; the node may become another."""
        match node:
            case Const():
                self.types[node.id] = _CONSTANTS[node.kind]
                return node
            case Ident():
                return self.ident(node)
            case Select():
                return self.select(node)
            case Call():
                return self.call(node)
            case ListExpr():
                return self.list(node)
            case MapExpr():
                return self.map(node)
            case Struct():
                return self.struct(node)
            case Fold():
                return self.fold(node)

    def issue(self, node: int, message: str) -> None:
        self.issues.append(Issue(node, message))

    def undeclared(self, node: int, name: str) -> None:
        self.types[node] = types.ERROR
        self.issue(node, f"undeclared reference to '{name}' (in container '')")

    def lookup(self, name: str) -> Type | None:
        # a leading dot asks for the outermost scope
        if name.startswith("."):
            return self.scopes[1].get(name[1:]) or _TYPE_NAMES.get(name[1:]) or self.type_name(name[1:])
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return self.type_name(name)

    def type_name(self, name: str) -> Type | None:
        found = self.structs(name)
        return None if found is None else types.type_of(found)

    def assignable(self, left: Type, right: Type) -> bool:
        found = unify.assign(self.bindings, [(left, right)])
        if found is None:
            return False
        self.bindings = found
        return True

    def expect(self, node: Expr, wanted: Type) -> None:
        if not self.assignable(wanted, self.types[node.id]):
            self.mismatch(node.id, wanted, self.types[node.id])

    def mismatch(self, node: int, wanted: Type, found: Type) -> None:
        self.issue(node, f"expected type '{wanted}' but found '{found}'")

    def variable(self) -> Type:
        self.fresh += 1
        return types.param(f"_var{self.fresh - 1}")

    def of(self, node: Expr) -> Type:
        return unify.substitute(self.bindings, self.types[node.id])

    def ident(self, node: Ident) -> Expr:
        found = self.lookup(node.name)
        if found is None:
            self.undeclared(node.id, node.name)
        else:
            self.types[node.id] = found
        return node

    def select(self, node: Select) -> Expr:
        name = qualified(node)
        if name is not None and not node.test:
            found = self.lookup(name)
            if found is not None:
                self.types[node.id] = found
                return Ident(node.id, name)
        node = dataclasses.replace(node, operand=self.visit(node.operand))
        result = self.field_of(node.id, node.operand, node.field, optional=False)
        self.types[node.id] = types.BOOL if node.test else unify.substitute(self.bindings, result)
        return node

    def field_of(self, node: int, operand: Expr, field: str, *, optional: bool) -> Type:
        given = self.of(operand)
        target, is_optional = _unwrap(given)
        result = types.DYN
        if target.kind == "map":
            result = target.params[1]
        elif target.kind == "struct":
            result = self.struct_field(node, target, field)
        elif target.kind == "param":
            self.assignable(types.DYN, target)
        elif target.kind not in ("dyn", "error"):
            self.issue(node, f"type '{target}' does not support field selection")
        return types.optional_of(result) if is_optional or optional else result

    def struct_field(self, node: int, owner: Type, field: str) -> Type:
        fields = owner.fields or {}
        found = fields.get(field)
        if found is None and field in RESERVED:
            found = fields.get(f"__{field}__")
        if found is None:
            self.issue(node, f"undefined field '{field}'")
            return types.ERROR
        return found

    def optional_select(self, node: Call) -> Expr:
        operand, field = node.args
        operand = self.visit(operand)
        if not isinstance(field, Const) or field.kind != "string":
            self.types[node.id] = types.ERROR
            self.issue(field.id, "unsupported optional field selection")
            return node
        result = self.field_of(node.id, operand, field.value, optional=True)
        self.types[node.id] = unify.substitute(self.bindings, result)
        self.types[field.id] = types.STRING
        self.overloads[node.id] = ("select_optional_field",)
        return dataclasses.replace(node, args=[operand, field])

    def call(self, node: Call) -> Expr:
        if node.function == "_?._":
            return self.optional_select(node)
        args = [self.visit(arg) for arg in node.args]
        node = dataclasses.replace(node, args=args)
        if node.target is None:
            return self.resolve(node, node.function.removeprefix("."))
        prefix = qualified(node.target)
        if prefix is not None:
            name = f"{prefix}.{node.function}"
            if name.removeprefix(".") in self.functions:
                return self.resolve(dataclasses.replace(node, target=None), name.removeprefix("."))
        node = dataclasses.replace(node, target=self.visit(node.target))
        return self.resolve(node, node.function)

    def resolve(self, node: Call, name: str) -> Expr:
        overloads = self.functions.get(name)
        if overloads is None:
            self.undeclared(node.id, name)
            return node
        node = dataclasses.replace(node, function=name)
        operands = node.args if node.target is None else [node.target, *node.args]
        given = [self.types[item.id] for item in operands]
        if name in ("_&&_", "_||_"):
            self.logical(node, name)
            return node
        result: Type | None = None
        matched: list[str] = []
        for overload in overloads:
            if overload.is_member != (node.target is not None) or len(overload.params) != len(given):
                continue
            outcome = self.match(overload, given)
            if outcome is None:
                continue
            matched.append(overload.id)
            if result is None:
                result = outcome
            elif result.kind != "dyn" and outcome != result:
                result = types.DYN
        if result is None:
            self.no_overload(node, name, given)
        else:
            self.types[node.id] = result
            self.overloads[node.id] = tuple(matched)
        return node

    def logical(self, node: Call, name: str) -> None:
        self.types[node.id] = types.BOOL
        self.overloads[node.id] = ("logical_and" if name == "_&&_" else "logical_or",)
        for arg in node.args:
            if not self.assignable(self.types[arg.id], types.BOOL):
                self.mismatch(arg.id, types.BOOL, self.types[arg.id])
                self.types[node.id] = types.ERROR

    def match(self, overload: declarations.Overload, given: list[Type]) -> Type | None:
        """Bind variables as one overload asks and return its result, or None if it does not fit."""
        params: tuple[Type, ...] = overload.params
        result = overload.result
        if overload.variables:
            fresh = {name: self.variable() for name in sorted(overload.variables)}
            params = tuple(unify.substitute(fresh, item) for item in params)
            result = unify.substitute(fresh, result)
        found = unify.assign(self.bindings, list(zip(given, params, strict=True)))
        if found is None:
            return None
        self.bindings = found
        return unify.substitute(found, result)

    def no_overload(self, node: Call, name: str, given: list[Type]) -> None:
        texts = [str(unify.substitute(self.bindings, item, free_to_dyn=True)) for item in given]
        receiver = f"{texts.pop(0)}." if node.target is not None else ""
        self.types[node.id] = types.ERROR
        signature = f"{receiver}({', '.join(texts)})"
        self.issue(node.id, f"found no matching overload for '{name}' applied to '{signature}'")

    def join(self, previous: Type | None, current: Type) -> Type:
        if previous is None:
            return current
        if self.assignable(previous, current):
            return unify.most_general(previous, current)
        return types.DYN  # `literals` complains of mixed types, but not in what is formatted

    def element(self, node: Expr, *, optional: bool) -> Type:
        found = self.types[node.id]
        if not optional:
            return found
        inner, is_optional = _unwrap(found)
        if not is_optional and inner.kind != "dyn":
            self.mismatch(node.id, types.optional_of(inner), inner)
        return inner

    def list(self, node: ListExpr) -> Expr:
        joined: Type | None = None
        elements = []
        for index, item in enumerate(node.elements):
            elements.append(self.visit(item))
            found = self.element(elements[-1], optional=index in node.optional)
            joined = self.join(joined, found)
        self.types[node.id] = types.list_of(joined or self.variable())
        return dataclasses.replace(node, elements=elements)

    def map(self, node: MapExpr) -> Expr:
        keys: Type | None = None
        values: Type | None = None
        entries = []
        for entry in node.entries:
            key = self.visit(entry.key)
            keys = self.join(keys, self.types[key.id])
            value = self.visit(entry.value)
            values = self.join(values, self.element(value, optional=entry.optional))
            entries.append(dataclasses.replace(entry, key=key, value=value))
        if keys is None or values is None:
            keys, values = self.variable(), self.variable()
        self.types[node.id] = types.map_of(keys, values)
        return dataclasses.replace(node, entries=entries)

    def struct(self, node: Struct) -> Expr:
        made = self.structs(node.name.removeprefix("."))
        if made is None:
            named = self.lookup(node.name)
            if named is None:
                self.undeclared(node.id, node.name)
                return node
            wrong = "is not a type" if named.kind != "type" else "is not a message type"
            self.issue(node.id, f"'{node.name}' {wrong}")
            made = types.ERROR
        self.types[node.id] = made
        entries = []
        for entry in node.entries:
            value = self.visit(entry.value)
            entries.append(dataclasses.replace(entry, value=value))
            wanted = types.ERROR if made.kind == "error" else self.struct_field(entry.id, made, entry.key)
            found = self.element(value, optional=entry.optional)
            if not self.assignable(wanted, found):
                self.issue(
                    entry.id,
                    f"expected type of field '{entry.key}' is '{wanted}' but provided type is '{found}'",
                )
        return dataclasses.replace(node, entries=entries)

    def fold(self, node: Fold) -> Expr:
        over = self.visit(node.range)
        initial = self.visit(node.initial)
        first, second = self.items(over)
        if node.second and self.of(over).kind == "list":
            first, second = types.INT, first
        accumulated = self.types[initial.id]
        self.scopes.append({node.accumulator: accumulated})
        inner = {node.variable: first}
        if node.second:
            inner[node.second] = second
        self.scopes.append(inner)
        condition = self.visit(node.condition)
        self.expect(condition, types.BOOL)
        step = self.visit(node.step)
        self.expect(step, accumulated)
        self.scopes.pop()
        result = self.visit(node.result)
        self.scopes.pop()
        self.types[node.id] = self.of(result)
        return dataclasses.replace(
            node, range=over, initial=initial, condition=condition, step=step, result=result
        )

    def items(self, over: Expr) -> tuple[Type, Type]:
        """What iterating gives: the element or the key, and the value."""
        given = self.of(over)
        if given.kind == "list":
            return given.params[0], given.params[0]
        if given.kind == "map":
            return given.params[0], given.params[1]
        if given.kind in ("dyn", "error", "param"):
            self.assignable(types.DYN, given)
            return types.DYN, types.DYN
        self.issue(
            over.id,
            f"expression of type '{given}' cannot be range of a comprehension"
            " (must be list, map, or dynamic)",
        )
        return types.ERROR, types.ERROR


def qualified(node: Expr) -> str | None:
    """Read `a.b.c` as a name; None if the node is anything else."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.test:
        prefix = qualified(node.operand)
        return None if prefix is None else f"{prefix}.{node.field}"
    return None


def literals(
    checked: Checked,
    is_valid: Callable[[str, syntax.Const], bool],
) -> list[Issue]:
    """Complain of literals that can only fail, and of lists and maps of mixed types.

    is_valid: whether the argument of `duration`, `timestamp` or `matches` (by that name) is one.
    """
    issues = []
    for name in ("duration", "timestamp", "matches"):
        for node in syntax.walk(checked.root):
            if isinstance(node, Call) and node.function == name and node.args:
                arg = node.args[0]
                if isinstance(arg, Const) and not is_valid(name, arg):
                    issues.append(Issue(arg.id, f"invalid {name} argument"))
    issues += _mixed(checked, checked.root)
    return issues


def _mixed(checked: Checked, node: Expr) -> list[Issue]:
    if isinstance(node, Call) and node.function == "format" and node.target is not None:
        return []  # its arguments may be of any types
    issues: list[Issue] = []
    if isinstance(node, ListExpr):
        found = [_plain(checked, item, i in node.optional) for i, item in enumerate(node.elements)]
        issues += _differing(node.elements, found)[:1]
    elif isinstance(node, MapExpr):
        keys = [entry.key for entry in node.entries]
        values = [entry.value for entry in node.entries]
        issues += _differing(keys, [checked.types[key.id] for key in keys])
        issues += _differing(values, [_plain(checked, e.value, e.optional) for e in node.entries])
    for child in syntax.children(node):
        issues += _mixed(checked, child)
    return issues


def _differing(nodes: list[Expr], found: list[Type]) -> list[Issue]:
    return [
        Issue(node.id, f"expected type '{found[0]}' but found '{given}'")
        for node, given in zip(nodes, found, strict=True)
        if given != found[0]
    ]


def _plain(checked: Checked, node: Expr, optional: bool) -> Type:
    given = checked.types[node.id]
    return _unwrap(given)[0] if optional else given


def _unwrap(given: Type) -> tuple[Type, bool]:
    if given.kind == "opaque" and given.name == "optional_type":
        return given.params[0], True
    return given, False
