"""What a look from outside finds wrong with a container."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cri.bundle.spec import Capabilities, Namespaces, Process, Rootfs, Spec, to_wire
from cri.runtime import spawn, verify
from cri.runtime.container import Container

KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


def spec(**process: Any) -> dict[str, Any]:
    caps = Capabilities(0b111, 0b111, 0b111)
    made = Process(argv=("x",), capabilities=caps, no_new_privs=True, seccomp=b"x", **process)
    namespaces = Namespaces("/net", "/ipc", "/uts", "own", "", "/user", ((0, 1000, 10),), ((0, 1000, 10),))
    wire: dict[str, Any] = to_wire(Spec("c", "s", made, Rootfs((), "", ""), "g/pod/c", namespaces=namespaces))
    return wire


def seen(change: Callable[[verify.Seen], None] = lambda found: None) -> verify.Seen:
    found = verify.Seen()
    found.status = {f"Cap{kind}": "7" for kind in ("Prm", "Eff", "Bnd")} | {"CapInh": "0", "CapAmb": "0"}
    found.status |= {"NoNewPrivs": "1", "Seccomp": "2"}
    found.namespaces = {kind: 100 + number for number, kind in enumerate(KINDS)}
    found.user = found.namespaces["user"]
    found.cgroups = ["/g/pod/c", "/above/g/pod/c/made-inside"]
    found.ids = {"uid": [(0, 1000, 10)], "gid": [(5, 1005, 1)]}
    change(found)
    return found


def host() -> verify.Seen:
    found = verify.Seen()
    found.namespaces = {kind: number for number, kind in enumerate(KINDS)}
    return found


def test_a_container_as_its_spec_says() -> None:
    assert verify.compare(spec(), seen(), host()) == []


def status(**fields: str) -> Callable[[verify.Seen], None]:
    def change(found: verify.Seen) -> None:
        found.status = {**found.status, **fields}

    return change


def namespace(kind: str) -> Callable[[verify.Seen], None]:
    def change(found: verify.Seen) -> None:
        found.namespaces = {**found.namespaces, kind: KINDS.index(kind)}

    return change


def field(name: str, value: Any) -> Callable[[verify.Seen], None]:
    return lambda found: setattr(found, name, value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (status(CapBnd="f"), "more capabilities than it may have: CapBnd 0x8"),
        (status(CapAmb="10"), "CapAmb 0x10"),
        (status(NoNewPrivs="0"), "may gain privileges"),
        (status(Seccomp="0"), "no seccomp filter"),
        *((namespace(kind), f"in the host's {kind} namespace") for kind in KINDS),
        (field("cgroups", ["/g/pod/c", "/system.slice"]), "not in its cgroup"),
        (field("cgroups", ["/g/pod/c2"]), "not in its cgroup"),
        (field("ids", {"uid": [(0, 0, 1)], "gid": []}), "uids of the host that are not its own: 0 to 0"),
        (field("ids", {"uid": [], "gid": [(0, 1005, 6)]}), "gids of the host that are not its own"),
        (field("strangers", ["descriptor 7, /root"]), "directory of the host: descriptor 7"),
    ],
)
def test_what_is_told(change: Callable[[verify.Seen], None], expected: str) -> None:
    assert expected in "; ".join(verify.compare(spec(), seen(change), host()))


def test_what_a_process_may_do_to_itself() -> None:
    def own_user_namespace(found: verify.Seen) -> None:
        found.namespaces = {**found.namespaces, "user": 999}
        found.status = {**found.status, "CapBnd": "1ffffffffff", "CapEff": "1ffffffffff"}

    assert verify.compare(spec(), seen(own_user_namespace), host()) == []
    admin = spec()
    admin["process"]["capabilities"]["bounding"] |= 1 << 21
    assert verify.compare(admin, seen(namespace("mnt")), host()) == []  # nsenter


def test_profiles() -> None:
    confined = spec(apparmor="mine")
    assert "not by AppArmor profile 'mine'" in verify.compare(confined, seen(), host())[0]
    for label in ("mine (enforce)", "mine//child (enforce)"):
        assert verify.compare(confined, seen(field("apparmor", label)), host()) == []


def test_contexts() -> None:
    wanted, ours = "u:r:container_t:s0:c1,c2", "u:r:runtime_t:s0"
    labelled, node = spec(selinux=wanted), host()
    node.selinux = ours
    for right in (wanted, "u:r:by_policy_t:s0:c1,c2"):
        assert verify.compare(labelled, seen(field("selinux", right)), node) == []
    for wrong in (ours, "", "u:r:container_t:s0:c1,c3"):
        assert f"SELinux label {wrong!r}" in verify.compare(labelled, seen(field("selinux", wrong)), node)[0]


def test_a_process_that_has_begun_to_end_is_not_judged() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert verify.is_ending(process.pid)
    process.wait()
    assert verify.is_ending(process.pid)
    assert not verify.is_ending(os.getpid())


@pytest.mark.parametrize("is_ending", [True, False])
def test_only_what_lives_is_killed_for_a_group_that_is_not_its(
    monkeypatch: pytest.MonkeyPatch, is_ending: bool
) -> None:
    """One killed for lack of memory is some time at freeing it, in the root's group on v1."""
    killed: list[int] = []
    monkeypatch.setattr(verify, "look", lambda *_: seen(field("cgroups", ["/"])))
    monkeypatch.setattr(verify, "_host", host)
    monkeypatch.setattr(verify, "is_ending", lambda pid: is_ending)
    monkeypatch.setattr(spawn, "kill", lambda fd, number: killed.append(number))
    group = SimpleNamespace(hierarchies=None, kill=lambda: None)
    made = SimpleNamespace(id="c", pid=1, pidfd=1, spec={**spec(), "holder": False}, group=group, reason="")
    verify._verify(cast(Container, made))
    assert (killed, made.reason) == (([], "") if is_ending else ([9], verify.REASON))
