"""AppArmor profiles, on a kernel that has it (Debian's: see scripts/vm-test)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cri.api import runtime_pb2 as pb
from cri.bundle import apparmor as choice
from cri.bundle import capabilities
from cri.bundle.spec import Capabilities
from cri.linux import apparmor, labels
from cri.runtime.faults import RuntimeFault
from tests.root.cri.runtime.conftest import Node

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not apparmor.is_enabled(), reason="the kernel has no AppArmor"),
]

NAME = "nanokube-test-deny-write"
PROFILE = f"profile {NAME} flags=(attach_disconnected) {{ file, deny /** w, signal, }}\n"


@pytest.fixture(autouse=True)
def _profiles() -> Iterator[None]:
    apparmor.load(PROFILE)
    try:
        yield
    finally:
        for name in (NAME, choice.DEFAULT):
            assert apparmor.unload_unused(name)


def test_a_named_profile_holds_the_command_and_what_is_executed_later(node: Node) -> None:
    assert node.run("touch", "/tmp/x")[0] == 0
    assert node.run("touch", "/tmp/x", process={"apparmor": NAME})[0] == 1
    for no_new_privs in (False, True):
        script = "trap 'exit 7' TERM; while true; do sleep 0.1; done"
        process = {"apparmor": NAME, "no_new_privs": no_new_privs}
        spec = node.spec("sh", "-c", script, process=process)
        node.client.create(spec)
        pid = node.client.start(spec.id).pid
        assert labels.current(pid) == f"{NAME} (enforce)"
        assert not apparmor.unload_unused(NAME)
        result = node.client.exec_sync(spec.id, ["touch", "/tmp/y"], 10)
        assert (result.exit_code, b"Permission denied" in result.stderr) == (1, True)
        assert node.client.stop(spec.id, 9).exit_code == 7  # the runtime's signals pass


def test_a_profile_that_went_away_is_told(node: Node) -> None:
    spec = node.spec("true", process={"apparmor": "nanokube-test-nosuch"})
    node.client.create(spec)
    with pytest.raises(RuntimeFault, match="cannot apply AppArmor profile 'nanokube-test-nosuch'"):
        node.client.start(spec.id)


def test_the_default_profile_is_loaded_when_first_wanted(node: Node) -> None:
    host = choice.Kernel()
    assert choice.choose(pb.LinuxContainerSecurityContext(), host) == choice.DEFAULT
    assert apparmor.has(choice.DEFAULT)
    assert apparmor.unload_unused(choice.DEFAULT)
    assert not apparmor.has(choice.DEFAULT)
    assert host.load_default()  # again, after somebody's aa-teardown
    assert apparmor.has(choice.DEFAULT)


def test_the_default_profile_allows_work_and_denies_what_changes_the_host(node: Node) -> None:
    assert choice.Kernel().load_default()
    every = Capabilities(capabilities.ALL, capabilities.ALL, capabilities.ALL)
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    script = (
        "echo x > /tmp/x && cat /tmp/x && ls /proc/1/ >/dev/null && echo works;"
        "sleep 60 & kill $! && echo signalled;"
        "mount -t tmpfs tmpfs /tmp 2>/dev/null && echo mounted;"
        "mount -t proc proc /tmp 2>/dev/null && echo mounted;"
        "for f in kernel/core_pattern vm/swappiness; do"
        "  { cat /proc/sys/$f > /proc/sys/$f; } 2>/dev/null && echo wrote $f; done;"
        "echo 1 > /proc/sys/kernel/shm_rmid_forced && echo own; true"
    )
    process = {"apparmor": choice.DEFAULT, "capabilities": every}
    _, lines = node.run("sh", "-c", script, process=process)
    assert lines == ["x", "works", "signalled", "own"]
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before
