"""What conditions read of their variables, exactly, and a text that says all of it. Pure.

    object.spec.containers.map(c, c.image + 'x').exists(...)    reads    object.spec.containers.*.image

Conditions that read the same give the same for equal texts, so that what was found out need not be again:
Pods of one Deployment have other names, and other volumes of tokens, but the same images.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from nanokube.api.cel import syntax
from nanokube.api.cel.syntax import Call, Const, Expr, Fold, Ident, ListExpr, MapExpr, Select

ITEMS: Final = 0  # in a path: every element
_ROOTS: Final = ("object", "oldObject", "request", "namespaceObject")
_FIELDS: Final = ("_[_]", "_?._", "_[?_]")

Path = tuple[str | int, ...]
Root = Callable[[str], Any]  # gives what a variable is
Shorten = Callable[[Any], Any]


class How(enum.Enum):
    """How something is read: all of it, how long it is, whether it is there."""

    WHOLE = enum.auto()
    SIZE = enum.auto()
    PRESENCE = enum.auto()


Reads = frozenset[tuple[Path, How]]


def of(trees: Sequence[Expr]) -> Reads | None:
    """List what (lowered) trees read; None if they read more than the variables of admission."""
    reader = _Reader()
    try:
        for tree in trees:
            reader.use(tree, {})
    except _Unknown:
        return None
    return frozenset(reader.found)


def text_of(reads: Reads) -> Callable[[Root], bytes | None]:
    """Make what writes the text of all that is read; it gives None of what JSON has no text for."""
    tree = _Node()
    for path, how in reads:
        node = tree
        for step in path:
            node = node.below.setdefault(step, _Node())
        node.how.add(how)
    roots = [(str(name), _shortening(node)) for name, node in sorted(tree.below.items(), key=repr)]

    def text(root: Root) -> bytes | None:
        try:
            return orjson.dumps([shorten(root(name)) for name, shorten in roots])
        except TypeError:  # an integer of more than 64 bits, for instance
            return None

    return text


# --- reading ----------------------------------------------------------------------------------------------


class _Unknown(Exception):
    """The condition reads something else."""


class _Reader:
    def __init__(self) -> None:
        self.found: set[tuple[Path, How]] = set()

    def use(self, node: Expr, names: Mapping[str, Path | None]) -> None:
        """Note what is read to evaluate an expression whose value matters."""
        self._note(self._path(node, names), How.WHOLE)

    def _note(self, path: Path | None, how: How) -> None:
        if path is not None:
            self.found.add((path, how))

    def _path(self, node: Expr, names: Mapping[str, Path | None]) -> Path | None:
        """Give the place that a value is read from, unread as yet; None if it is made, and what of is noted.

        names: the places of the variables of loops.
        """
        match node:
            case Ident():
                return self._variable(node.name, names)
            case Select():
                path = self._path(node.operand, names)
                if path is None:
                    return None
                if not node.test:
                    return (*path, node.field)
                self._note((*path, node.field), How.PRESENCE)
                return None
            case Call(function=function, args=[operand, Const(kind="string", value=key)]) if (
                function in _FIELDS
            ):
                path = self._path(operand, names)
                return None if path is None else (*path, key)
            case Call(function="orValue", target=Call() | Select(), args=[other]) if _is_plain(other):
                assert node.target is not None
                return self._path(node.target, names)
            case Call(function="size"):
                self._note(self._path(node.target or node.args[0], names), How.SIZE)
                return None
            case Call(function="hasValue", target=Call() | Select()):
                assert node.target is not None
                self._note(self._path(node.target, names), How.PRESENCE)
                return None
            case Fold():
                self._loop(node, names)
                return None
        for child in syntax.children(node):
            self.use(child, names)
        return None

    def _variable(self, name: str, names: Mapping[str, Path | None]) -> Path | None:
        if name in names:
            return names[name]
        if name not in _ROOTS:
            raise _Unknown
        return (name,)

    def _loop(self, node: Fold, names: Mapping[str, Path | None]) -> None:
        over = self._path(node.range, names)
        item = None if over is None else (*over, ITEMS)
        self._note(item, How.PRESENCE)  # how many there are
        self.use(node.initial, names)
        inside = {**names, node.variable: item, node.accumulator: None}
        if node.second:
            inside |= {node.variable: None, node.second: item}
        for part in (node.condition, node.step, node.result):
            self.use(part, inside)


def _is_plain(node: Expr) -> bool:
    """Whether an expression is a constant."""
    match node:
        case Const() | ListExpr(elements=[]) | MapExpr(entries=[]):
            return True
    return False


# --- writing ----------------------------------------------------------------------------------------------


class _Node:
    def __init__(self) -> None:
        self.how: set[How] = set()
        self.below: dict[str | int, _Node] = {}


def _shortening(node: _Node) -> Shorten:
    """Make what leaves out what is not read. Of values that are not the same to readers it gives other JSON.

    What is neither a map nor a list, or not the one of both that is expected, is left as it is.
    """
    is_both = len(node.below) > 1 and ITEMS in node.below
    if How.WHOLE in node.how or is_both or (How.SIZE in node.how and node.below):
        return _whole
    if node.below:
        if ITEMS in node.below:
            return _each(_shortening(node.below[ITEMS]))
        return _some([(str(key), _shortening(below)) for key, below in node.below.items()])
    return _size if How.SIZE in node.how else _presence


def _whole(value: Any) -> Any:
    return value


def _presence(value: Any) -> Any:
    return value is not None


def _size(value: Any) -> Any:
    if value.__class__ is list:
        return {"list": len(value)}
    return {"map": len(value)} if value.__class__ is dict else value


def _each(shorten: Shorten) -> Shorten:
    return lambda value: list(map(shorten, value)) if value.__class__ is list else value


def _some(fields: Sequence[tuple[str, Shorten]]) -> Shorten:
    def shorten(value: Any) -> Any:
        if value.__class__ is not dict:
            return value
        return {key: below(value[key]) for key, below in fields if key in value}

    if len(fields) > 1:
        return shorten
    ((only, of_only),) = fields

    def shorten_one(value: Any) -> Any:
        if value.__class__ is not dict:
            return value
        return {only: of_only(value[only])} if only in value else {}

    return shorten_one
