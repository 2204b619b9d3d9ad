"""What runs for each Pod gives `tuple` a list, not a generator.

CPython (seen in 3.11) makes a tuple of unknown length with ten places and shrinks it. Freed, it goes to the
spares of its new length, from which the next such call does not take: up to 2000 of each length pile up.
A collection would free them; the supervisor has none, the server seldom a full one.
"""

import ast
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_PER_POD = (
    "cni",
    *(f"cri/{name}" for name in ("bundle", "network", "runtime", "server", "snapshots", "store")),
)


@pytest.mark.parametrize("package", _PER_POD)
def test_no_tuple_is_made_of_a_generator(package: str) -> None:
    found = [
        f"{path.relative_to(_ROOT)}:{node.lineno}"
        for path in sorted((_ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _is_shrunk(node)
    ]
    assert not found, "write tuple([...]): tuples that are shrunk pile up, see the docstring"


def _is_shrunk(call: ast.Call) -> bool:
    if not (isinstance(call.func, ast.Name) and call.func.id == "tuple" and call.args):
        return False
    match call.args[0]:
        case ast.GeneratorExp():
            return True
        case ast.Call(func=ast.Name(id="map" | "filter" | "zip")):
            return True
    return False
