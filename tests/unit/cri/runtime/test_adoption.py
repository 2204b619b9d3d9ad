"""What keeper noted of an exit stays until the supervisor has noted it too."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cri.runtime import adoption
from cri.runtime.container import Container
from cri.runtime.supervisor import Supervisor

PID = 4194305  # above any that exists


class Killed(BaseException):
    """Ends the supervisor where it stands."""


def node(directory: Path, told: list[Any], *, dies: bool = False) -> Supervisor:
    """Return a supervisor that is told of exits, or killed before it can note one."""

    def exited(made: Container, status: int | None, when: int) -> None:
        if dies:
            raise Killed
        told.append((status, when))

    made = SimpleNamespace(run_dir=str(directory), exited=exited, hear=lambda made: None)
    return cast(Supervisor, made)


def container(phase: str = "running") -> Container:
    made = SimpleNamespace(
        pid=PID, identity="77.1234", pidfd=os.open("/dev/null", os.O_RDONLY), is_child=False, phase=phase
    )
    made.spec = {"holder": False}
    return cast(Container, made)


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "exits" / str(PID)
    path.parent.mkdir()
    path.write_text(f"{7 << 8} 99 1234")
    return path


@pytest.mark.parametrize("adopt", [adoption.ended, adoption._adopt])
def test_an_exit_is_known_to_whoever_follows_a_supervisor_killed_meanwhile(
    tmp_path: Path, note: Path, adopt: Any
) -> None:
    told: list[Any] = []
    with pytest.raises(Killed):
        adopt(node(tmp_path, told, dies=True), container())
    adopt(node(tmp_path, told), container())
    assert told == [(7 << 8, 99)]
    assert not note.exists()


def test_a_note_of_another_process_of_that_id_is_not_believed(tmp_path: Path, note: Path) -> None:
    told: list[Any] = []
    note.write_text(f"{7 << 8} 99 1235")
    adoption._adopt(node(tmp_path, told), container())
    assert told[0][0] is None


def test_who_follows_an_orphan_leaves_the_process_that_takes_its_place_to_its_own_start() -> None:
    """Told early that it runs, the supervisor would forget who waits for the answer to the start."""
    due: list[Callable[[], None]] = []
    running: list[Container] = []
    loop = SimpleNamespace(after=lambda seconds, call: due.append(call))
    supervisor = cast(Supervisor, SimpleNamespace(loop=loop, set_running=running.append))
    made = container("starting")
    made.pid = os.getpid()  # executes what we do: it has no go
    adoption.await_execution(supervisor, made)
    with subprocess.Popen(["sleep", "100"]) as fresh:
        made.pid, made.is_child = fresh.pid, True
        while due:
            due.pop()()
        fresh.kill()
    assert running == []
