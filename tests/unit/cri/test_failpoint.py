"""The list of failpoints is the truth, and they do nothing unless a test asks for them."""

import ast
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from cri import failpoint

TOP = Path(failpoint.__file__).parent


def called() -> Counter[str]:
    """Return the names that the source passes to failpoint.hit(), with how often."""
    names: Counter[str] = Counter()
    for path in TOP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "failpoint.hit":
                (argument,) = node.args
                assert isinstance(argument, ast.Constant), f"{path}: the name of a failpoint is a literal"
                names[str(argument.value)] += 1
    return names


def test_every_point_in_the_code_is_listed_and_stands_once() -> None:
    assert called() == Counter(failpoint.POINTS)


def test_nothing_happens_without_the_variable() -> None:
    assert not failpoint.is_enabled()
    failpoint.hit(failpoint.POINTS[0])


def test_an_armed_point_kills_once_and_is_noted(tmp_path: Path) -> None:
    (tmp_path / "reached").mkdir()
    script = (
        "import os; from cri import failpoint\n"
        "open(os.environ['ARMED'], 'w').write(str(os.getpid()))\n"
        "failpoint.hit('start.checked'); print('passed', flush=True)\n"
        "failpoint.hit('start.done'); print('no')"
    )
    env = {
        **os.environ,
        "NANOKUBE_CRI_FAILPOINTS": str(tmp_path),
        "ARMED": str(tmp_path / "start.done"),
        "PYTHONPATH": str(TOP.parent),
    }
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-9, "passed\n")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["reached"]
    assert sorted(entry.name for entry in (tmp_path / "reached").iterdir()) == ["start.checked", "start.done"]
