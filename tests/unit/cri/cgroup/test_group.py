from pathlib import Path

import pytest

from cri.cgroup.group import Group
from cri.cgroup.hierarchy import Hierarchies


def test_the_caller_joins_each_v1_group_as_a_lone_thread_and_no_v2_group(tmp_path: Path) -> None:
    for name in ("cpu", "memory", "unified"):
        (tmp_path / name / "pods" / "c").mkdir(parents=True)
        for file in ("tasks", "cgroup.procs"):
            (tmp_path / name / "pods" / "c" / file).touch()
    v1 = {
        name: str(tmp_path / point) for name, point in (("cpu", "cpu"), ("cpuacct", "cpu"), ("memory",) * 2)
    }

    Group(Hierarchies(str(tmp_path / "unified"), frozenset(), v1), "pods/c").join()

    written = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*/c/*")}
    assert {name for name, text in written.items() if text} == {"cpu/pods/c/tasks", "memory/pods/c/tasks"}
    assert written["cpu/pods/c/tasks"] == "0"


def test_a_group_is_made_with_its_missing_parents_once(tmp_path: Path) -> None:
    v1 = {name: str(tmp_path / name) for name in ("memory", "pids")}
    for name in ("memory/a", "pids", "unified/a/b/c"):
        (tmp_path / name).mkdir(parents=True)
    group = Group(Hierarchies(str(tmp_path / "unified"), frozenset(), v1), "a/b/c")
    for _ in range(2):
        group.create()
        assert all((tmp_path / name / "a/b/c").is_dir() for name in ("memory", "pids", "unified"))


def test_no_hierarchy_is_made_where_none_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Group(Hierarchies("", frozenset(), {"memory": str(tmp_path / "absent")}), "a/b").create()
