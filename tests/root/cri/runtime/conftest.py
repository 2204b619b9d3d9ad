"""A keeper with supervisor and log pump in temporary directories, and a busybox image."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cri.bundle.spec import Capabilities, Process, Rootfs, Spec
from cri.cgroup import group, hierarchy
from cri.runtime.client import RuntimeClient
from cri.runtime.faults import RuntimeFault

BUSYBOX = "/bin/busybox"
APPLETS = "sh ls cat echo sleep id touch mount grep tty stty hostname wc dd true false env ps kill pgrep head"
DEFAULT_CAPS = 0xA80425FB


class Node:
    """One runtime under test."""

    _count = itertools.count(1)

    def __init__(self, path: Path, run_dir: Path | None = None) -> None:
        self.path = path
        self.run_dir = run_dir or path / "run"
        self.name = f"nkt-{os.getpid()}-{path.name[-6:]}"
        self.image = path / "image"
        self.client = RuntimeClient(self.run_dir)

    def start(self, *server: str) -> None:
        """Start a keeper, with a server to keep; returns when it serves."""
        command = [sys.executable, "-m", "cri.runtime.keeper", "--run-dir", str(self.run_dir)]
        command += ["--", *server] if server else ["--no-server"]
        subprocess.run(command, check=True, timeout=60)

    def pid(self, name: str) -> int:
        """The process id of one of the daemons, by its name as ps shows it."""
        keeper = int((self.run_dir / "keeper.pid").read_text())
        if name == "nk-keeper":
            return keeper
        children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        for pid in children:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # reaped since
                is_contained = "/nkt-" in Path(f"/proc/{pid}/cgroup").read_text()  # cloned just now
                if Path(f"/proc/{pid}/comm").read_text().strip() == name and not is_contained:
                    return int(pid)
        raise LookupError(name)

    def spec(self, *argv: str, **changes: Any) -> Spec:
        """A container that runs busybox; changes to Spec, or to its Process under the key process."""
        name = f"c{next(self._count)}"
        for part in ("u", "w"):
            (self.path / "c" / name / part).mkdir(parents=True)
        caps = Capabilities(DEFAULT_CAPS, DEFAULT_CAPS, DEFAULT_CAPS)
        process = Process(argv=argv, env=("PATH=/bin",), capabilities=caps)
        process = dataclasses.replace(process, **changes.pop("process", {}))
        rootfs = Rootfs(
            (str(self.image),), str(self.path / "c" / name / "u"), str(self.path / "c" / name / "w")
        )
        base = Spec(name, "s1", process, rootfs, f"{self.name}/{name}", log_path=str(self.log(name)))
        return dataclasses.replace(base, **changes)

    def log(self, name: str) -> Path:
        """The log file of a container."""
        return self.path / "logs" / f"{name}.log"

    def lines(self, name: str) -> list[str]:
        """What a container wrote, in order, without time and tags."""
        return [line.split(" ", 3)[3] for line in self.log(name).read_text().splitlines()]

    def run(self, *argv: str, **changes: Any) -> tuple[int, list[str]]:
        """Run a container to its end: (exit code, output lines)."""
        spec = self.spec(*argv, **changes)
        self.client.create(spec)
        self.client.start(spec.id)
        return self.client.wait(spec.id, 30).exit_code, self.lines(spec.id)

    def make_image(self) -> None:
        """Make the image's only layer: busybox and its applets."""
        (self.image / "bin").mkdir(parents=True)
        (self.image / "etc").mkdir()
        (self.image / "tmp").mkdir(mode=0o777)
        shutil.copy(BUSYBOX, self.image / "bin" / "busybox")
        for applet in APPLETS.split():
            os.link(self.image / "bin" / "busybox", self.image / "bin" / applet)

    def remove_all(self) -> None:
        """Remove all containers and cgroups."""
        for state in self.client.list():
            self.client.remove(state.id)
        self.client.close()
        self._remove_group()

    def stop(self) -> None:
        """Remove all containers, stop the daemons, remove the cgroups."""
        pid = int((self.run_dir / "keeper.pid").read_text())
        try:
            self.client.shutdown(remove=True)
        except RuntimeFault:
            os.kill(pid, 15)
        wait_for(lambda: is_ended(pid))
        self.client.close()
        self._remove_group()

    def _remove_group(self) -> None:
        top = group.Group(hierarchy.detect(), self.name)
        top.kill()
        wait_for(top.remove)


def wait_for(condition: Any, timeout_s: float = 30) -> None:
    """Poll until true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "condition did not come true"
        time.sleep(0.01)


def is_ended(pid: int) -> bool:
    """Say whether a process has ended; its parent may reap it much later."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One runtime for all tests that do not harm it."""
    made = Node(tmp_path_factory.mktemp("runtime"))
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def node(shared: Node, tmp_path: Path) -> Iterator[Node]:
    """The shared runtime, with an image of the test's own; what the test made is gone afterwards."""
    made = Node(tmp_path, shared.run_dir)
    made.make_image()
    try:
        yield made
    finally:
        made.remove_all()


@pytest.fixture
def lone_node(tmp_path: Path) -> Iterator[Node]:
    """A runtime of the test's own, to be killed."""
    made = Node(tmp_path)
    made.make_image()
    made.start()
    try:
        yield made
    finally:
        made.stop()
