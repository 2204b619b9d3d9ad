"""Races between a container that runs and the runtime that sets up another, or enters it."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cri.bundle import capabilities, spec
from cri.bundle.spec import Capabilities, Device, Mount, Namespaces
from cri.runtime import pause
from cri.runtime.faults import RuntimeFault
from tests.root.cri.runtime.conftest import Node, wait_for

pytestmark = pytest.mark.root

_RENAME_EXCHANGE, _AT_FDCWD = 2, -100
_ROUNDS, _ROUNDS_S = 25, 3.0


def rounds(count: int = _ROUNDS) -> Iterator[int]:
    """Count up to count, or for some seconds where the machine is slow."""
    end = time.monotonic() + _ROUNDS_S
    for number in range(count):
        if time.monotonic() > end:
            return
        yield number


@contextmanager
def flipping(one: Path, other: Path) -> Iterator[None]:
    """Exchange two names, over and over."""
    libc, stop = ctypes.CDLL(None), threading.Event()
    names = os.fsencode(one), os.fsencode(other)

    def flip() -> None:
        while not stop.is_set():
            libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)

    flipper = threading.Thread(target=flip)
    flipper.start()
    try:
        yield
    finally:
        stop.set()
        flipper.join()


def tried(node: Node, *argv: str, **changes: Any) -> list[str]:
    """Run a container that may also be refused; what it wrote."""
    made = node.spec(*argv, **changes)
    node.client.create(made)
    try:
        node.client.start(made.id)
    except RuntimeFault:
        return []  # refused is as good as kept inside
    else:
        node.client.wait(made.id, 30)
        return node.lines(made.id)
    finally:
        node.client.remove(made.id)


def _bind(node: Node) -> dict[str, Any]:
    (node.path / "payload").mkdir(exist_ok=True)
    return {"mounts": (Mount("/v/dir/deep", str(node.path / "payload")),)}


def _image(node: Node) -> dict[str, Any]:
    layer = node.path / "layer"
    (layer / "part").mkdir(parents=True, exist_ok=True)
    return {"mounts": (Mount("/v/dir/deep", kind="image", lowers=(str(layer),), sub_path="part"),)}


KINDS: dict[str, Any] = {
    "bind": _bind,
    "image volume with a sub-path": _image,
    "tmpfs": lambda node: {"mounts": (Mount("/v/dir/deep", kind="tmpfs"),)},
    "masked path": lambda node: {"masked_paths": ("/v/dir/deep", "/v/dir")},
    "read-only path": lambda node: {"readonly_paths": ("/v/dir/deep", "/v/dir")},
    "device": lambda node: {"devices": (Device("/dev/zero", "/v/dir/deep/zero"),)},
    "working directory": lambda node: {"process": {"cwd": "/v/dir/deep/cwd"}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_target_is_led_out_of_the_root(node: Node, kind: str) -> None:
    """CVE-2021-30465 and its family: a component of the target flips between directory and link."""
    shared, outside = node.path / "shared", node.path / "outside"
    for directory in (shared / "dir" / "deep", outside / "deep"):
        directory.mkdir(parents=True)
    (shared / "link").symlink_to("../" * 20 + str(outside).lstrip("/"))
    changes = KINDS[kind](node)
    changes["mounts"] = (Mount("/v", str(shared)), *changes.get("mounts", ()))
    before = os.stat(outside / "deep").st_dev
    with flipping(shared / "dir", shared / "link"):
        for _ in rounds():
            tried(node, "true", **changes)
            assert [entry.name for entry in outside.iterdir()] == ["deep"]
            assert list((outside / "deep").iterdir()) == []
            assert os.stat(outside / "deep").st_dev == before
            assert str(outside) not in Path("/proc/self/mountinfo").read_text()


def test_no_mount_is_led_over_the_kernels_files(node: Node) -> None:
    """CVE-2019-16884, CVE-2025-52881: what is checked is not what is mounted on."""
    shared, payload = node.path / "shared", node.path / "payload"
    (shared / "dir").mkdir(parents=True)
    payload.mkdir()
    (shared / "link").symlink_to("/proc/sys")
    mounts = (Mount("/v", str(shared)), Mount("/v/dir", str(payload)))
    with flipping(shared / "dir", shared / "link"):
        for _ in rounds(2 * _ROUNDS):
            lines = tried(node, "grep", str(payload.name), "/proc/self/mountinfo", mounts=mounts)
            assert not [line for line in lines if " /proc/sys " in line]


# Looks at every process but itself for a way to the host: its root, directory, descriptors, memory.
_SPY = """
import os, sys, time
marker, me = sys.argv[1], os.getpid()
end, seen = time.monotonic() + float(sys.argv[2]), set()
print("ready", flush=True)
while time.monotonic() < end:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == me:
            continue
        seen.add(pid)
        for way in ("root" + marker, "cwd" + marker, "cwd/../../../../../../.." + marker):
            if os.path.exists(f"/proc/{pid}/{way}"):
                print("leak", way, flush=True)
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if os.path.exists(f"/proc/{pid}/fd/{fd}{marker}"):
                    print("leak fd", fd, flush=True)
        except OSError:
            pass
        try:
            if "python" in os.readlink(f"/proc/{pid}/exe"):
                print("leak exe", flush=True)
                os.close(os.open(f"/proc/{pid}/exe", os.O_WRONLY))
                print("leak writable", flush=True)
        except OSError:
            pass
        try:
            with open(f"/proc/{pid}/mem", "rb"), open(f"/proc/{pid}/maps") as maps:  # as ptrace(2) is allowed
                if "python" in maps.read():
                    print("leak memory", flush=True)
        except OSError:
            pass
print("saw", len(seen), flush=True)
"""


def _spy(node: Node, shared: Namespaces, secret: Path, granted: int) -> str:
    """Start a spy; its container's id."""
    for name in ("lib", "lib64"):
        (node.image / name).symlink_to(f"usr/{name}")
    places = ["/usr"] if sys.base_prefix.startswith("/usr") else ["/usr", sys.base_prefix]
    made = node.spec(
        os.path.realpath(sys.executable),
        "-c",
        _SPY,
        str(secret),
        "3",
        namespaces=shared,
        mounts=tuple(Mount(place, place, readonly=True) for place in places),
        process={
            "capabilities": Capabilities(granted, granted, granted),
            "env": (f"PYTHONHOME={sys.base_prefix}",),
        },
    )
    node.client.create(made)
    node.client.start(made.id)
    wait_for(lambda: node.log(made.id).exists() and "ready" in node.lines(made.id))
    return made.id


def test_a_half_made_process_shows_nothing_of_the_host(node: Node) -> None:
    """CVE-2016-9962: who shares a PID namespace looks into the runtime's process before it is the command."""
    secret = node.path / "secret"
    secret.write_text("x")
    node.client.create(spec.holder_spec("pod", "s1", f"{node.name}/pod"))
    shared = Namespaces(pid="container", pid_target="pod")
    spy = _spy(node, shared, secret, capabilities.DEFAULT)
    target = node.spec("sleep", "30", namespaces=shared)
    node.client.create(target)
    node.client.start(target.id)
    for _ in rounds(15):
        node.client.exec_sync(target.id, ["true"], 10)
        tried(node, "true", namespaces=shared)
    assert node.client.wait(spy, 30).exit_code == 0
    *found, last = node.lines(spy)
    assert found == ["ready"]
    assert int(last.split()[1]) > 2


@pytest.mark.skipif(not pause.program(platform.machine()), reason="no program for this machine")
def test_the_holder_of_a_pid_namespace_remembers_nothing(node: Node) -> None:
    """With CAP_SYS_PTRACE all in the namespace is readable: its first process must hold no secret."""
    secret = node.path / "secret"
    secret.write_text("x")
    node.client.create(spec.holder_spec("pod", "s1", f"{node.name}/pod"))
    shared = Namespaces(pid="container", pid_target="pod")
    granted = capabilities.change(capabilities.DEFAULT, ["SYS_PTRACE"], [])
    spy = _spy(node, shared, secret, granted)
    assert node.client.wait(spy, 30).exit_code == 0
    assert node.lines(spy) == ["ready", "saw 1"]


def test_a_command_never_starts_in_a_container_that_is_gone(node: Node) -> None:
    """An exec that joins while the container's first process ends is refused or ends with it."""
    for _ in rounds():
        made = node.spec("sleep", "0.02")
        node.client.create(made)
        node.client.start(made.id)
        for _ in range(50):
            try:
                result = node.client.exec_sync(made.id, ["sh", "-c", f"test -e {node.path} && echo host"], 10)
            except RuntimeFault:
                break
            assert b"host" not in result.stdout
        state = node.client.wait(made.id, 30)
        assert state.exit_code == 0
        node.client.remove(made.id)


@pytest.mark.parametrize("trap", ["link", "pipe"])
def test_a_log_file_that_was_replaced_is_not_followed(node: Node, trap: str) -> None:
    """A container that may write the host's log directory puts a link or a pipe in place of its log."""
    victim = node.path / "victim"
    victim.write_text("untouched")
    made = node.spec("sh", "-c", "while true; do echo line; sleep 0.05; done")
    node.client.create(made)
    node.client.start(made.id)
    log = node.log(made.id)
    wait_for(log.exists)
    log.unlink()
    if trap == "link":
        log.symlink_to(victim)
    else:
        os.mkfifo(log)
    with pytest.raises(RuntimeFault):
        node.client.reopen_log(made.id)
    other = node.spec("echo", "alive")
    node.client.create(other)  # the log pump serves the others
    node.client.start(other.id)
    node.client.wait(other.id, 30)
    assert node.lines(other.id) == ["alive"]
    assert victim.read_text() == "untouched"
