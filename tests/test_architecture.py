"""The rules of ARCHITECTURE.md, held by a test: who may import whom, no cycles, sizes, where ctypes lives."""

import ast
import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("nanokube", "cri", "cni")
FILE_LIMIT = 600
FUNCTION_LIMIT = 60
GENERATED = re.compile(r"_pb2(_grpc)?\.py$")
LEAVES = ("cri.wire", "cri.linux", "cri.api")

# package -> what of ours it may import, besides itself
ALLOWED: dict[str, tuple[str, ...]] = {
    "cni": (),
    "cri.wire": (),
    "cri.linux": (),
    "cri.api": (),
    "cri": ("cni",),
    "nanokube.kit": (),
    "nanokube.api": (),
    "nanokube.storage": ("nanokube.kit",),
    "nanokube.client": ("nanokube.kit", "nanokube.api"),
    "nanokube.apiserver": ("nanokube.kit", "nanokube.api", "nanokube.storage", *LEAVES),
    "nanokube.scheduler": ("nanokube.kit", "nanokube.api", "nanokube.client"),
    "nanokube.controllers": ("nanokube.kit", "nanokube.api", "nanokube.client"),
    "nanokube.proxy": ("nanokube.kit", "nanokube.api", "nanokube.client", *LEAVES),
    "nanokube.podnet": ("nanokube.kit", "nanokube.api", "nanokube.client", *LEAVES),
    "nanokube.netpol": ("nanokube.kit", "nanokube.api", "nanokube.client", *LEAVES),
    "nanokube.dns": ("nanokube.kit", "nanokube.api", "nanokube.client", *LEAVES),
    "nanokube.kubelet": ("nanokube.kit", "nanokube.api", "nanokube.client", *LEAVES),
    "nanokube.roles": ("nanokube", "cni", *LEAVES),
    "nanokube.lab": ("nanokube.kit", *LEAVES),
    "nanokube.cli": (
        *("nanokube.kit", "nanokube.api", "nanokube.client", "nanokube.roles", "nanokube.lab"),
        *LEAVES,
    ),
}


def sources() -> list[Path]:
    return [
        path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if not GENERATED.search(path.name)
    ]


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules ask of a file. Its tree is not kept: a million nodes would slow what runs after this."""

    imports: tuple[str, ...]
    imports_at_start: tuple[str, ...]
    lines: int
    long_functions: tuple[str, ...]
    loose_tasks: tuple[int, ...]
    raised_in_groups: tuple[int, ...]
    uses_ctypes: bool
    has_docstring: bool


@functools.cache
def facts_of(path: Path) -> Facts:
    text = path.read_text()
    tree = ast.parse(text, str(path))
    nodes = list(ast.walk(tree))
    return Facts(
        imports=tuple(_imports(nodes)),
        imports_at_start=tuple(_imports(_run_at_import(tree))),
        lines=len(text.splitlines()),
        long_functions=tuple(_long_functions(nodes)),
        loose_tasks=tuple(node.lineno for node in nodes if isinstance(node, ast.Call) and _is_loose(node)),
        raised_in_groups=tuple(_raised_in_groups(nodes)),
        uses_ctypes=re.search(r"^\s*(import|from) ctypes", text, re.M) is not None,
        has_docstring=ast.get_docstring(tree) is not None,
    )


@functools.cache
def known_modules() -> frozenset[str]:
    generated = [path for package in PACKAGES for path in (ROOT / package).rglob("*_pb2*.py")]
    return frozenset(module_of(path) for path in [*sources(), *generated])


def _imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the modules of ours that are imported."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in PACKAGES)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known_modules() else node.module


def _long_functions(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LIMIT:
                yield f"{node.name}: {lines} lines"


def _is_loose(call: ast.Call) -> bool:
    """Whether a task is started outside of any group."""
    match call.func:
        case ast.Attribute(value=ast.Name(id="asyncio"), attr="create_task" | "ensure_future"):
            return True
    return False


def _raised_in_groups(nodes: Iterable[ast.AST]) -> Iterator[int]:
    for node in nodes:
        for handler in node.handlers if isinstance(node, ast.TryStar) else ():
            yield from (inner.lineno for inner in ast.walk(handler) if isinstance(inner, ast.Raise))


def _run_at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements that run when the module is imported (no function bodies, no TYPE_CHECKING)."""
    pending = list(tree.body)
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))


def _is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def _owner(module: str) -> str | None:
    owners = [package for package in ALLOWED if _is_within(module, package)]
    return max(owners, key=len, default=None)


def test_each_package_imports_only_what_it_may() -> None:
    wrong = []
    for path in sources():
        module = module_of(path)
        owner = _owner(module)
        if owner is None:
            continue
        allowed = (owner, *ALLOWED[owner])
        for target in facts_of(path).imports:
            if not any(_is_within(target, package) for package in allowed):
                wrong.append(f"{module} imports {target}")
    assert wrong == []


def test_no_import_cycles() -> None:
    graph = {module_of(path): set(facts_of(path).imports_at_start) for path in sources()}
    assert _find_cycle(graph) is None


def _find_cycle(graph: dict[str, set[str]]) -> list[str] | None:
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> list[str] | None:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module in done or module not in graph:
            return None
        for target in sorted(graph[module]):
            found = visit(target, [*trail, module])
            if found:
                return found
        done.add(module)
        return None

    return next((cycle for module in graph if (cycle := visit(module, []))), None)


def test_files_and_functions_stay_small() -> None:
    written = [path for path in sources() if "data" not in path.relative_to(ROOT).parts]  # no tables of facts
    large = [f"{module_of(path)}: {n} lines" for path in written if (n := facts_of(path).lines) > FILE_LIMIT]
    long = [f"{module_of(path)}: {each}" for path in written for each in facts_of(path).long_functions]
    assert [*large, *long] == []


def test_ctypes_lives_in_cri_linux_alone() -> None:
    offenders = [
        module_of(path)
        for path in sources()
        if not _is_within(module_of(path), "cri.linux") and facts_of(path).uses_ctypes
    ]
    assert offenders == []


def test_tasks_start_in_task_groups_alone() -> None:
    offenders = [f"{module_of(path)}:{line}" for path in sources() for line in facts_of(path).loose_tasks]
    assert offenders == []


def test_nothing_is_raised_where_a_group_is_caught() -> None:
    """Before Python 3.11.4 (Debian 12 has 3.11.2) it would be a group again: cpython gh-103590."""
    offenders = [
        f"{module_of(path)}:{line}" for path in sources() for line in facts_of(path).raised_in_groups
    ]
    assert offenders == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        module_of(path)
        for path in sources()
        if path.name != "__init__.py" and not facts_of(path).has_docstring
    ]
    assert silent == []


def test_every_file_that_architecture_names_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    links = re.findall(r"\]\(([^)#]+)\)", text)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []
