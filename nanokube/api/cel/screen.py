"""Tells that conditions are certainly false, without the runtime: Python of the forms that most of them have.

    has(object.a.b) && object.a.b != 'x'    =>    v1 = v0.get("a", M) if v0.__class__ is dict else M
                                                  v2 = v1.get("b", M) if v1.__class__ is dict else M
                                                  return (v1.__class__ is dict and "b" not in v1) or v2 == "x"

Each condition is written twice: when it is certainly false, and when it is certainly true. In between are
errors, values of other types than expected, and texts, lists and maps above the size for which the cost of
the condition is known to be small. So "certainly" never depends on what this does not know, and what is false
here the runtime finds false too, within the budget. It saves to convert objects for the runtime, which costs
more than most conditions.

A path is read once, at the top of the function or the loop that it belongs to: M is what is missing, N what
an optional does not hold. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Final

import re2

from nanokube.api.cel import costs, merge, syntax
from nanokube.api.cel.call_costs import Pair
from nanokube.api.cel.environment import Program
from nanokube.api.cel.library import kept
from nanokube.api.cel.syntax import Call, Const, Expr, Fold, Ident, ListExpr, MapExpr, Select

LARGEST: Final = 255  # of texts that are looked at
MOST: Final = 63  # elements of lists and maps that are gone through
CHEAP: Final = 800_000  # units of cost a condition at these sizes; one evaluation may cost a million
_ROOTS: Final = ("object", "oldObject", "request", "namespaceObject")
_PLAIN: Final = (
    "name",
    "labels",
    "annotations",
)  # of a namespace's metadata; the runtime is given others changed
_ORDERS: Final = {"_<_": ("<", ">="), "_<=_": ("<=", ">"), "_>_": (">", "<="), "_>=_": (">=", "<")}
_FLIPPED: Final = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}
_TESTS: Final = ("startsWith", "endsWith", "contains")
_FEW: Final = 4  # texts that are looked for one by one

Root = Callable[[str], Any]  # gives what a variable is


class Unknown(Exception):
    """The condition has a form that is not known here."""


def is_cheap(programs: Sequence[Program]) -> bool:
    """Tell whether expressions cost little together, over anything that is looked at here."""
    return sum(map(_cost, programs)) <= CHEAP


def _cost(program: Program) -> int:
    lists: set[costs.Path] = set()

    def size_of(path: costs.Path) -> Pair:
        lists.update(path[:at] for at in range(1, len(path)) if path[at].startswith("@"))
        return 0, MOST if path in lists else LARGEST

    for _ in range(2):  # the first time finds out what is gone through
        found = costs.estimate(program.checked, size_of, unknown=(0, LARGEST), is_runtime=True)
    return found.cost[1]


def is_known(tree: Expr) -> bool:
    """Tell whether a lowered tree can be written."""
    try:
        _Writer().is_false(tree)
    except Unknown:
        return False
    return _reads_plainly(tree)


def whole(tree: Expr) -> Callable[[Root], bool]:
    """Write what tells whether a tree (also a merged one) is certainly false. Raises Unknown."""
    writer = _Writer()
    found: Callable[[Root], bool] = writer.compiled(f"bool({writer.is_false(tree)})")
    return found


def each(trees: Sequence[Expr]) -> Callable[[Root], Sequence[bool]]:
    """Write what tells of each tree whether it is certainly false. Raises Unknown."""
    writer = _Writer()
    answers = [f"bool({writer.is_false(tree)})," for tree in trees]
    found: Callable[[Root], Sequence[bool]] = writer.compiled(f"({' '.join(answers)})")
    return found


def _reads_plainly(tree: Expr) -> bool:
    """Whether all that is read of a namespace is for the runtime what it is here."""
    names = [node for node in syntax.walk(tree) if isinstance(node, Ident) and node.name == "namespaceObject"]
    plain = 0
    for node in syntax.walk(tree):
        match node:
            case Select(operand=Select(operand=Ident(name="namespaceObject"), field="metadata", test=False)):
                plain += node.field in _PLAIN
    return plain == len(names)


class Screen:
    """Many conditions. members: expressions of which all must hold, of each; such that `can_take`."""

    def __init__(self, members: Sequence[Sequence[Program]]) -> None:
        self._trees = [_tree(programs) for programs in members]
        self.tree = merge.any_of(self._trees)  # false if all are
        self._whole = whole(self.tree)
        self._each: Callable[[Root], Sequence[bool]] | None = None

    @property
    def size(self) -> int:
        """Count the nodes of its tree."""
        return sum(1 for _ in syntax.walk(self.tree))

    def undecided(self, root: Root) -> Sequence[int]:
        """List the members that are not certainly false."""
        if self._whole(root):
            return ()
        if self._each is None:
            self._each = each(self._trees)
        return [number for number, is_false in enumerate(self._each(root)) if not is_false]


def can_take(programs: Sequence[Program]) -> bool:
    """Tell whether expressions that must all hold can be a member of a Screen."""
    return is_known(_tree(programs)) and is_cheap(programs)


def _tree(programs: Sequence[Program]) -> Expr:
    return merge.all_of([program.tree for program in programs])


class _Scope:
    """A function that is being written. lines: what it reads first. taken: variables of those around it."""

    def __init__(self, above: _Scope | None) -> None:
        self.above = above
        self.lines: list[str] = []
        self.taken: dict[str, None] = {}


class _Missing:
    """Equal to nothing but itself."""


class _Writer:
    """Writes one function, and one for each of its loops."""

    def __init__(self) -> None:
        self._given: dict[str, Any] = {"M": _Missing(), "N": _Missing()}
        self._functions: list[str] = []
        self._top = self._scope = _Scope(None)
        self._owners: dict[str, _Scope] = {}
        self._known: dict[tuple[str, str], str] = {}  # what was read, by the variable that it was read of
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
        found: list[str] = []
        for node in nodes:
            if isinstance(node, Call) and node.function in _TESTS and node.target is not None:
                texts.setdefault((node.function, merge.shape(node.target)), []).append(node)
            elif isinstance(node, Fold) and (kind := _kind(node)) is not None and kind[0] == "all":
                loops.setdefault((node.variable, node.second, merge.shape(node.range)), []).append(node)
            else:
                found.append(self.is_false(node))
        for (function, _), calls in texts.items():
            found.append(self._has_none(function, calls))
        for folds in loops.values():
            apart = _all([self.is_false(fold) for fold in folds])
            # one element for which all predicates are false settles it
            found.append(
                _any([self._loop(_joined(folds), is_true=False), apart]) if len(folds) > 1 else apart
            )
        return found

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
            if among.optional or kinds not in ({"string"}, {"int"}):
                raise Unknown
            given = frozenset(entry.value for entry in among.elements if isinstance(entry, Const))
            return self._one_of(self._plain(item), given, "str" if kinds == {"string"} else "int")
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
        name = kept.keep_pattern(pattern)
        if name is None:
            raise Unknown
        return self._give(kept.compiled_of(name).search)

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
        found = self._known.get((given, key))
        if found is None:
            owner = self._owners.get(given, self._top)
            found = self._known[given, key] = self._own(owner)
            owner.lines.append(f"{found} = {text.format(given)}")
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
