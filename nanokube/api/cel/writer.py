"""Writes conditions as Python: when they are certainly false, and when they are certainly true. Pure.

A path is read once, at the top of the function or the loop that it belongs to: M is what is missing, N what
an optional does not hold. See `screen`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Final

import re2

from nanokube.api.cel import alike, merge
from nanokube.api.cel.library import kept
from nanokube.api.cel.syntax import Call, Const, Expr, Fold, Ident, ListExpr, MapExpr, Select

LARGEST: Final = 255  # of texts that are looked at
MOST: Final = 63  # elements of lists and maps that are gone through
_ROOTS: Final = ("object", "oldObject", "request", "namespaceObject")
_ORDERS: Final = {"_<_": ("<", ">="), "_<=_": ("<=", ">"), "_>_": (">", "<="), "_>=_": (">=", "<")}
_FLIPPED: Final = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}
_TESTS: Final = ("startsWith", "endsWith", "contains")
_FEW: Final = 4  # texts that are looked for one by one


class Unknown(Exception):
    """The condition has a form that is not known here."""


class _Scope:
    """A function that is being written. lines: what it reads first. taken: variables of those around it.

    is_apart: it also reads what could be read outside.
    """

    def __init__(self, above: _Scope | None, *, is_apart: bool = False) -> None:
        self.above = above
        self.is_apart = is_apart
        self.lines: list[str] = []
        self.taken: dict[str, None] = {}


class _Missing:
    """Equal to nothing but itself."""


class Writer:
    """Writes one function, and one for each of its loops."""

    def __init__(self) -> None:
        self._given: dict[str, Any] = {"M": _Missing(), "N": _Missing()}
        self._functions: list[str] = []
        self._top = self._scope = _Scope(None)
        self._owners: dict[str, _Scope] = {}
        self._known: dict[tuple[_Scope, str, str], str] = {}  # what was read where, of which variable
        self._bound: dict[str, str] = {}  # what variables of CEL are called here
        self._count = 0

    def compiled(self, answer: str) -> Any:
        """Make the function that gives an answer."""
        lines = [*self._functions, "def conditions(root):", *(f"    {line}" for line in self._top.lines)]
        try:
            exec(compile("\n".join([*lines, f"    return {answer}"]), "<conditions>", "exec"), self._given)
        except (SyntaxError, RecursionError, MemoryError) as err:  # too deep for the parser
            raise Unknown from err
        return self._given["conditions"]

    # --- what is certain ---------------------------------------------------------------------------------

    def is_false(self, node: Expr) -> str:
        """Write when an expression is certainly false."""
        match node:
            case Call(function="_||_"):
                return _all(self._none(list(merge.parts(node, "_||_"))))
            case Call(function="_&&_"):
                return _any([self.is_false(part) for part in merge.parts(node, "_&&_")])
            case Call(function="!_"):
                return self.is_true(node.args[0])
            case Call(function="_?_:_"):
                return self._chosen(node, self.is_false)
            case Fold():
                return self._loop(node, is_true=False)
        return self._leaf(node)[1]

    def is_true(self, node: Expr) -> str:
        """Write when an expression is certainly true."""
        match node:
            case Call(function="_||_"):
                return _any([self.is_true(part) for part in merge.parts(node, "_||_")])
            case Call(function="_&&_"):
                return _all([self.is_true(part) for part in merge.parts(node, "_&&_")])
            case Call(function="!_"):
                return self.is_false(node.args[0])
            case Call(function="_?_:_"):
                return self._chosen(node, self.is_true)
            case Fold():
                return self._loop(node, is_true=True)
        return self._leaf(node)[0]

    def _chosen(self, node: Call, certain: Callable[[Expr], str]) -> str:
        asked, yes, no = node.args
        return _any(
            [_all([self.is_true(asked), certain(yes)]), _all([self.is_false(asked), certain(no)])],
        )

    def _none(self, nodes: list[Expr]) -> list[str]:
        """Write when all are false; what looks for texts in one place, or goes through one list, at once."""
        texts: dict[tuple[Any, ...], list[Call]] = {}
        loops: dict[tuple[Any, ...], list[Fold]] = {}
        others, found = list[Expr](), list[str]()
        for node in nodes:
            if isinstance(node, Call) and node.function in _TESTS and node.target is not None:
                texts.setdefault((node.function, merge.shape(node.target)), []).append(node)
            elif isinstance(node, Fold) and (kind := _kind(node)) is not None and kind[0] == "all":
                loops.setdefault((node.variable, node.second, merge.shape(node.range)), []).append(node)
            else:
                others.append(node)
        compared, others = alike.by_comparison(others)
        keyed, others = alike.by_key(others)
        found += map(self.is_false, others)
        found += map(self._none_compared, compared)
        found += map(self._none_keyed, keyed)
        for (function, _), calls in texts.items():
            found.append(self._has_none(function, calls))
        for folds in loops.values():
            apart = _all([self.is_false(fold) for fold in folds])
            # one element for which all predicates are false settles it
            found.append(
                _any([self._loop(_joined(folds), is_true=False), apart]) if len(folds) > 1 else apart
            )
        return found

    def _none_compared(self, group: alike.Alike) -> str:
        value = self._plain(group.place)
        is_other = f"({value}.__class__ is str and {value} not in {self._give(group.texts)})"
        return _any([is_other, self._apart(group.nodes)])

    def _none_keyed(self, group: alike.Alike) -> str:
        place = self.value(group.place)
        has_none = f"len({place}) <= {MOST} and {self._give(group.texts)}.isdisjoint({place})"
        is_alike = f"({has_none} if {place}.__class__ is dict else {place}.__class__ is not list)"
        return _any([_all([is_alike, self.is_false(group.nodes[0])]), self._apart(group.nodes)])

    def _apart(self, nodes: Sequence[Expr]) -> str:
        """Write when all are false, in a function that reads for itself: it is seldom called."""
        above = self._scope
        scope = self._scope = _Scope(above, is_apart=True)
        answer = _all([self.is_false(node) for node in nodes])
        self._scope = above
        function = self._name("f")
        taken = ", ".join([self._use(name) for name in scope.taken])
        lines = [f"def {function}({taken}):", *(f"    {line}" for line in scope.lines)]
        self._functions += [*lines, f"    return {answer}"]
        return f"{function}({taken})"

    def _has_none(self, function: str, calls: list[Call]) -> str:
        if len(calls) < _FEW:
            return _all([self.is_false(call) for call in calls])
        assert calls[0].target is not None
        value = self.value(calls[0].target)
        wanted = {self._text(call.args[0]) for call in calls}
        if function == "contains":
            search = self._search("|".join(map(re2.escape, sorted(wanted))))
            return f"({_small_text(value)} and {search}({value}) is None)"
        sizes = {size: frozenset(t for t in wanted if len(t) == size) for size in sorted(map(len, wanted))}
        part = "[:{size}]" if function == "startsWith" else "[max(0, len({value}) - {size}):]"
        asked = [
            f"{value}{part.format(size=size, value=value)} not in {self._give(texts)}"
            for size, texts in sizes.items()
        ]
        return _all([_small_text(value), *asked])

    def _loop(self, node: Fold, *, is_true: bool) -> str:
        kind = _kind(node)
        if kind is None:
            raise Unknown
        name, predicate = kind
        over = self.value(node.range)
        above, bound = self._scope, dict(self._bound)
        scope = self._scope = _Scope(above)
        first, second = self._own(scope), self._own(scope)
        self._bound |= {node.variable: first} | ({node.second: second} if node.second else {})
        before, inside, after = _BODIES[name, is_true]
        certain = {
            "true": self.is_true(predicate) if any("{true}" in line for line in inside) else "",
            "false": self.is_false(predicate) if any("{false}" in line for line in inside) else "",
        }
        self._scope, self._bound = above, bound
        function = self._name("f")
        taken = [self._use(name) for name in scope.taken]
        items = "items.items() if items.__class__ is dict else enumerate(items)" if node.second else "items"
        turn = f"{first}, {second}" if node.second else first
        lines = [
            f"def {function}({', '.join(['items', *taken])}):",
            f"    {before}",
            f"    for {turn} in {items}:",
        ]
        lines += [f"        {line}" for line in (*scope.lines, *(line.format(**certain) for line in inside))]
        self._functions += [*lines, f"    {after}"]
        small = f"({over}.__class__ is list or {over}.__class__ is dict) and len({over}) <= {MOST}"
        return f"({small} and {function}({', '.join([over, *taken])}))"

    # --- leaves: when they are true, and when they are false -----------------------------------------------

    def _leaf(self, node: Expr) -> tuple[str, str]:
        match node:
            case Const(kind="bool"):
                return str(node.value), str(not node.value)
            case Select(test=True) if not _is_optional(node.operand):
                value, key = self.value(node.operand), repr(node.field)
                return _pair(f"{value}.__class__ is dict", f"{key} in {value}", f"{key} not in {value}")
            case Call(function="_==_"):
                return self._equal(*node.args)
            case Call(function="_!=_"):
                is_equal, is_other = self._equal(*node.args)
                return is_other, is_equal
            case Call(function="@in"):
                return self._within(*node.args)
            case Call(target=None) if node.function in _ORDERS:
                return self._order(node.function, *node.args)
            case Call(target=None) if node.function in (merge.MATCHES, merge.ONE_OF):
                return self._kept(node)
            case Call(function="hasValue") if node.target is not None and _is_optional(node.target):
                value = self.value(node.target)
                return f"({value} is not N and {value} is not M)", f"{value} is N"
            case Call() if node.target is not None and len(node.args) == 1:
                return self._test(node.function, node.target, node.args[0])
        value = self.value(node)
        return f"{value} is True", f"{value} is False"

    def _equal(self, left: Expr, right: Expr) -> tuple[str, str]:
        if isinstance(left, Const):
            left, right = right, left
        value = self._plain(left)
        if not isinstance(right, Const):
            other = self._plain(right)
            texts = f"{_small_text(value)} and {_small_text(other)}"
            sort = f"(({texts}) or {value}.__class__ is {other}.__class__ is int)"
            return _pair(sort, f"{value} == {other}", f"{value} != {other}")
        is_other = f"{value}.__class__ is str or {value} is None"
        match right.kind:
            case "string":
                return f"{value} == {right.value!r}", f"({value} is not M and {value} != {right.value!r})"
            case "int":
                is_int, wanted = f"{value}.__class__ is int", int(right.value)
                return (
                    f"({is_int} and {value} == {wanted})",
                    f"(({is_int} and {value} != {wanted}) or {is_other})",
                )
            case "bool":
                return f"{value} is {right.value}", f"({value} is {not right.value} or {is_other})"
            case "null":
                return f"{value} is None", f"({value} is not M and {value} is not None)"
        raise Unknown

    def _within(self, item: Expr, among: Expr) -> tuple[str, str]:
        if isinstance(among, ListExpr):
            kinds = {entry.kind if isinstance(entry, Const) else "" for entry in among.elements}
            if among.optional or not kinds or not kinds <= {"string", "int", "bool", "null"}:
                raise Unknown
            place, given = self._plain(item), [each for each in among.elements if isinstance(each, Const)]
            found = [
                self._one_of(place, frozenset(each.value for each in given if each.kind == kind), sort)
                for kind, sort in (("string", "str"), ("int", "int"))
                if kind in kinds
            ]
            found += [self._equal(item, each) for each in given if each.kind in ("bool", "null")]
            return _any([is_true for is_true, _ in found]), _all([is_false for _, is_false in found])
        place = self._plain(among)
        sort = f"({place}.__class__ is list or {place}.__class__ is dict) and len({place}) <= {MOST}"
        if isinstance(item, Const):
            wanted = repr(self._text(item))
        else:
            wanted = self._plain(item)
            sort = f"{_small_text(wanted)} and {sort}"
        return _pair(sort, f"{wanted} in {place}", f"{wanted} not in {place}")

    def _one_of(self, value: str, wanted: frozenset[Any], sort: str) -> tuple[str, str]:
        given = self._give(wanted)
        is_it = f"{value}.__class__ is {sort}"
        is_other = f"{value} is not M and not {is_it}" if sort == "str" else f"{value}.__class__ is str"
        return f"({is_it} and {value} in {given})", f"(({is_other}) or ({is_it} and {value} not in {given}))"

    def _order(self, function: str, left: Expr, right: Expr) -> tuple[str, str]:
        if isinstance(left, Const):
            function, left, right = _FLIPPED[function], right, left
        value = self._plain(left)
        holds, fails = _ORDERS[function]
        if not isinstance(right, Const):
            other = self._plain(right)
            sort = f"{value}.__class__ is {other}.__class__ is int"
            return _pair(sort, f"{value} {holds} {other}", f"{value} {fails} {other}")
        if right.kind not in ("int", "string"):
            raise Unknown
        sort = f"{value}.__class__ is int" if right.kind == "int" else _small_text(value)
        return _pair(sort, f"{value} {holds} {right.value!r}", f"{value} {fails} {right.value!r}")

    def _kept(self, node: Call) -> tuple[str, str]:
        target, name = merge.arguments(node)
        value = self._plain(target)
        if node.function == merge.ONE_OF:
            return self._one_of(value, kept.texts_of(name), "str")
        search = self._give(kept.compiled_of(name).search)
        return _pair(_small_text(value), f"{search}({value}) is not None", f"{search}({value}) is None")

    def _test(self, function: str, target: Expr, arg: Expr) -> tuple[str, str]:
        if function not in (*_TESTS, "matches"):
            raise Unknown
        value, wanted = self._plain(target), self._text(arg)
        if function == "matches":
            search = self._search(wanted)
            return _pair(_small_text(value), f"{search}({value}) is not None", f"{search}({value}) is None")
        if function == "contains":
            return _pair(_small_text(value), f"{wanted!r} in {value}", f"{wanted!r} not in {value}")
        called = f"{value}.{function.lower()}({wanted!r})"
        return _pair(_small_text(value), called, f"not {called}")

    def _text(self, node: Expr) -> str:
        if not isinstance(node, Const) or node.kind != "string":
            raise Unknown
        return str(node.value)

    def _search(self, pattern: str) -> str:
        compiled = kept.compiled(pattern)
        if compiled is None:
            raise Unknown
        return self._give(compiled.search)

    # --- values ------------------------------------------------------------------------------------------

    def _plain(self, node: Expr) -> str:
        """Name the variable of a value that is no optional."""
        if _is_optional(node):
            raise Unknown
        return self.value(node)

    def value(self, node: Expr) -> str:
        """Name the variable that holds a value, M or N."""
        match node:
            case Ident():
                return self._variable(node.name)
            case Select(test=False):
                return self._field(node.operand, node.field, "N" if _is_optional(node.operand) else "M")
            case Call(function="_[_]", args=[operand, Const(kind="string", value=key)]):
                return self._field(operand, key, "N" if _is_optional(operand) else "M")
            case Call(function="_[_]", args=[operand, Const(kind="int", value=at)]) if at >= 0:
                given = self._plain(operand)
                is_there = f"{given}.__class__ is list and len({given}) > {at}"
                return self._read(given, f"[{at}]", f"{{}}[{at}] if {is_there} else M")
            case Call(function="_?._" | "_[?_]", args=[operand, Const(kind="string", value=key)]):
                return self._field(operand, key, "N")
            case Call(function="orValue", target=Call() | Select(), args=[other]) if _is_optional(
                node.target
            ):
                assert node.target is not None
                given, default = self.value(node.target), self._default(other)
                return self._read(given, f"or {default}", f"{default} if {{0}} is N else {{0}}")
            case Call(function="size"):
                given = self._plain(node.target if node.target is not None else node.args[0])
                sizes = f"({{0}}.__class__ is str and len({{0}}) <= {LARGEST})"
                sort = f"{sizes} or {{0}}.__class__ is list or {{0}}.__class__ is dict"
                return self._read(given, "size", f"len({{0}}) if {sort} else M")
        raise Unknown

    def _variable(self, name: str) -> str:
        if name in self._bound:
            return self._use(self._bound[name])
        if name not in _ROOTS:
            raise Unknown
        return self._read("", name, f"root({name!r})")

    def _field(self, operand: Expr, key: str, absent: str) -> str:
        given = self.value(operand)
        otherwise = "N if {0} is N else M" if _is_optional(operand) else "M"
        text = f"{{0}}.get({self._quoted(key)}, {absent}) if {{0}}.__class__ is dict else {otherwise}"
        return self._read(given, f"{absent}.{key}", text)

    def _quoted(self, key: str) -> str:
        """Quote a key for a text that is yet to be formatted."""
        return repr(key).replace("{", "{{").replace("}", "}}")

    def _default(self, node: Expr) -> str:
        match node:
            case Const(kind="string" | "int" | "bool" | "null"):
                return self._give(node.value)
            case ListExpr(elements=[]):
                return self._give([])
            case MapExpr(entries=[]):
                return self._give({})
        raise Unknown

    def _read(self, given: str, key: str, text: str) -> str:
        """Name the variable of what is read of another one, where that one is."""
        owner = self._owners.get(given, self._top)
        places, scope = [owner], self._scope
        while given and scope is not owner and scope.above is not None:
            if scope.is_apart:
                places.insert(1, scope)
            scope = scope.above
        for place in places:
            if (found := self._known.get((place, given, key))) is not None:
                return self._use(found)
        found = self._known[places[-1], given, key] = self._own(places[-1])
        places[-1].lines.append(f"{found} = {text.format(given)}")
        return self._use(found)

    def _own(self, scope: _Scope) -> str:
        name = self._name("v")
        self._owners[name] = scope
        return name

    def _use(self, name: str) -> str:
        """Hand a variable down from where it is to where it is used."""
        scope: _Scope | None = self._scope
        while scope is not None and scope is not self._owners[name]:
            scope.taken[name] = None
            scope = scope.above
        return name

    def _give(self, value: Any) -> str:
        """Name a constant."""
        name = self._name("k")
        self._given[name] = value
        return name

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"


# what is before a loop over {predicate}, in it, and after it, when it is certainly true (false)
_BODIES: Final[dict[tuple[str, bool], tuple[str, tuple[str, ...], str]]] = {
    ("exists", True): ("pass", ("if {true}: return True",), "return False"),
    ("exists", False): ("pass", ("if not {false}: return False",), "return True"),
    ("all", True): ("pass", ("if not {true}: return False",), "return True"),
    ("all", False): ("pass", ("if {false}: return True",), "return False"),
    ("one", True): (
        "n = 0",
        ("if {false}: continue", "if not {true}: return False", "n += 1"),
        "return n == 1",
    ),
    ("one", False): (
        "n = 0",
        ("if {false}: continue", "if not {true}: return False", "n += 1"),
        "return n != 1",
    ),
}


def _kind(node: Fold) -> tuple[str, Expr] | None:
    """Tell which macro made a loop, and its predicate."""
    match node:
        case Fold(
            initial=Const(kind="bool", value=value),
            step=Call(function=function, args=[Ident(name=held), predicate]),
            result=Ident(name=result),
        ) if held == result == node.accumulator and function == ("_&&_" if value else "_||_"):
            return ("all" if value else "exists"), predicate
        case Fold(
            initial=Const(kind="int", value=0),
            step=Call(function="_?_:_", args=[predicate, Call(function="_+_"), Ident(name=held)]),
            result=Call(function="_==_", args=[Ident(name=result), Const(kind="int", value=1)]),
        ) if held == result == node.accumulator:
            return "one", predicate
    return None


def _joined(folds: list[Fold]) -> Fold:
    """Build `all` of the or of predicates: false if, but not only if, all are."""
    predicates = [kind[1] for fold in folds if (kind := _kind(fold)) is not None]
    held = Ident(0, folds[0].accumulator)
    step = Call(0, None, "_&&_", [held, merge.any_of(predicates)])
    return dataclasses.replace(folds[0], step=step)


def _is_optional(node: Expr | None) -> bool:
    match node:
        case Call(function="_?._" | "_[?_]"):
            return True
        case Select(test=False):
            return _is_optional(node.operand)
        case Call(function="_[_]"):
            return _is_optional(node.args[0])
    return False


def _small_text(value: str) -> str:
    return f"{value}.__class__ is str and len({value}) <= {LARGEST}"


def _pair(sort: str, holds: str, fails: str) -> tuple[str, str]:
    return f"({sort} and {holds})", f"({sort} and {fails})"


def _all(texts: list[str]) -> str:
    return f"({' and '.join(texts)})" if len(texts) > 1 else texts[0]


def _any(texts: list[str]) -> str:
    return f"({' or '.join(texts)})" if len(texts) > 1 else texts[0]
