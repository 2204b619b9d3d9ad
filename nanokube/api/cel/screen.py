"""Tells that conditions are certainly false, without the runtime: Python of the forms that most of them have.

    has(object.a.b) && object.a.b != 'x'    =>    v1 = v0.get("a", M) if v0.__class__ is dict else M
                                                  v2 = v1.get("b", M) if v1.__class__ is dict else M
                                                  return (v1.__class__ is dict and "b" not in v1) or v2 == "x"

Each condition is written twice: when it is certainly false, and when it is certainly true. In between are
errors, values of other types than expected, and texts, lists and maps above the size for which the cost of
the condition is known to be small. So "certainly" never depends on what this does not know, and what is false
here the runtime finds false too, within the budget. It saves to convert objects for the runtime, which costs
more than most conditions.

M is what is missing. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from nanokube.api import steps
from nanokube.api.cel import costs, merge, syntax
from nanokube.api.cel.call_costs import Pair
from nanokube.api.cel.environment import Program
from nanokube.api.cel.syntax import Expr, Ident, Select
from nanokube.api.cel.writer import LARGEST, MOST, Unknown, Writer
from nanokube.api.steps import Steps

# units of cost a condition at these sizes; one evaluation may cost a million, and what is gone through may
# elsewhere be read as a text, four times as large
CHEAP: Final = 240_000
_PLAIN: Final = ("name", "labels", "annotations")  # of a namespace's metadata; others are converted

Root = Callable[[str], Any]  # gives what a variable is


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
        Writer().is_false(tree)
    except Unknown:
        return False
    return _reads_plainly(tree)


def whole(tree: Expr) -> Callable[[Root], bool]:
    """Write what tells whether a tree (also a merged one) is certainly false. Raises Unknown."""
    return steps.finish(writing(tree))


def writing(tree: Expr) -> Steps[Callable[[Root], bool]]:
    """Do what `whole` does in steps. Raises Unknown."""
    writer = Writer()
    answer = f"bool({writer.is_false(tree)})"
    yield
    found: Callable[[Root], bool] = writer.compiled(answer)
    return found


def each(trees: Sequence[Expr]) -> Callable[[Root], Sequence[bool]]:
    """Write what tells of each tree whether it is certainly false. Raises Unknown."""
    writer = Writer()
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
