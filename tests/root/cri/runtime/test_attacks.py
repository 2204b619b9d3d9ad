"""Attacks of containers and images on the runtime, tried; and a look at a container from outside.

The classes are those of the CVEs of runc, containerd, CRI-O and Docker named at each test.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from pathlib import Path

import pytest

from cri.bundle import capabilities, rootfs, seccomp
from cri.bundle.spec import Capabilities, Mount, User
from cri.cgroup import group, hierarchy
from cri.runtime import verify
from cri.runtime.faults import RuntimeFault
from tests.root.cri.runtime.conftest import DEFAULT_CAPS, Node

pytestmark = pytest.mark.root

_RENAME_EXCHANGE, _AT_FDCWD = 2, -100


def test_a_mount_target_swapped_for_a_link_never_leads_outside(node: Node) -> None:
    """CVE-2021-30465: a volume of an earlier container flips between directory and link."""
    shared, outside, payload = (node.path / name for name in ("shared", "outside", "payload"))
    for directory in (shared, outside, payload):
        directory.mkdir()
    (shared / "dir").mkdir()
    (shared / "link").symlink_to("../" * 20 + str(outside).lstrip("/"))
    libc, stop = ctypes.CDLL(None), threading.Event()
    names = (os.fsencode(shared / "dir"), os.fsencode(shared / "link"))

    def flip() -> None:
        while not stop.is_set():
            libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)

    flipper = threading.Thread(target=flip)
    flipper.start()
    try:
        for _ in range(40):
            mounts = (Mount("/v", str(shared)), Mount("/v/dir/deep", str(payload)))
            spec = node.spec("true", mounts=mounts)
            node.client.create(spec)
            try:
                node.client.start(spec.id)
            except RuntimeFault:
                pass  # refused is as good as mounted inside
            else:
                node.client.wait(spec.id, 30)
            node.client.remove(spec.id)
            assert list(outside.iterdir()) == []
            assert str(outside) not in Path("/proc/self/mountinfo").read_text()
    finally:
        stop.set()
        flipper.join()


def test_device_files_of_the_image_are_not_used(node: Node) -> None:
    """CVE-2025-31133, CVE-2025-52565, CVE-2026-41579: /dev of the image holds links and false devices."""
    victim = node.path / "victim"
    victim.write_text("untouched")
    (node.image / "dev" / "pts").mkdir(parents=True)
    for name in ("null", "console", "pts/0", "ptmx", "tty"):
        (node.image / "dev" / name).symlink_to("../" * 20 + str(victim).lstrip("/"))
    process = {"tty": True, "env": ("PATH=/bin",)}
    script = "ls -l /dev/null; echo x > /dev/null; echo y > /dev/console; tty"
    code, lines = node.run("sh", "-c", script, process=process, masked_paths=("/proc/kcore",))
    assert code == 0
    assert lines[0].startswith("crw-rw-rw-")
    assert lines[-1].strip() == "/dev/pts/0"
    assert victim.read_text() == "untouched"


@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
def test_a_mount_point_that_is_a_link_stays_in_the_root(node: Node, name: str) -> None:
    """CVE-2019-19921, CVE-2023-27561, CVE-2025-52881: /proc or /dev is a link that leads writes astray."""
    outside = node.path / "outside"
    outside.mkdir()
    (node.image / name).symlink_to("../" * 20 + str(outside).lstrip("/"))
    spec = node.spec("busybox", "true")
    node.client.create(spec)
    try:
        node.client.start(spec.id)
        node.client.wait(spec.id, 30)
    except RuntimeFault:
        pass
    assert list(outside.iterdir()) == []


def test_modules_of_the_image_are_never_loaded(node: Node) -> None:
    """CVE-2019-14271: code of the image runs in the process that prepares the container."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    trap = "open('/trapped', 'w').write('x')\nraise SystemExit(77)\n"
    places = {
        Path(os.__file__).parent,
        Path(f"/usr/lib/{version}"),
        Path(f"/usr/local/lib/{version}"),
        Path("/"),
    }
    places |= {Path(entry) for entry in sys.path if entry.startswith("/")}
    for place in places:
        inside = node.image / str(place).lstrip("/")
        (inside / "encodings").mkdir(parents=True, exist_ok=True)
        for module in ("encodings/idna", "os", "pwd", "grp", "linecache", "traceback", "sitecustomize", "re"):
            (inside / f"{module}.py").write_text(trap)
    environment = ("PATH=/bin", "PYTHONPATH=/", "PYTHONHOME=/", "LD_PRELOAD=/evil.so")
    code, lines = node.run("sh", "-c", "ls /trapped 2>&1; echo ran", process={"env": environment})
    assert (code, lines[-1]) == (0, "ran")
    assert "No such file" in lines[-2]
    spec = node.spec("nosuch", process={"cwd": "/"})
    node.client.create(spec)
    with pytest.raises(RuntimeFault, match="not found"):  # the message is made without loading anything
        node.client.start(spec.id)
    assert not (node.path / "c" / spec.id / "u" / "trapped").exists()


def test_accounts_of_the_image_are_read_inside_it(node: Node) -> None:
    """CVE-2024-9676, CVE-2022-4318: passwd of the image is a link to the host's, a pipe, or huge."""
    secret = node.path / "secret"
    secret.write_text("evil:x:0:0::/:/bin/sh\n")
    passwd = node.image / "etc" / "passwd"
    passwd.symlink_to("../" * 20 + str(secret).lstrip("/"))
    assert rootfs.read_accounts([str(node.image)])[0] == b""
    passwd.unlink()
    os.mkfifo(passwd)
    with pytest.raises(ValueError, match="not a regular file"):
        rootfs.read_accounts([str(node.image)])
    passwd.unlink()
    with passwd.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="too many"):
        rootfs.read_accounts([str(node.image)])


def test_a_sub_path_of_an_image_volume_stays_in_the_image(node: Node) -> None:
    """CVE-2017-1002101, CVE-2021-25741: a sub-path is a link to the host."""
    secret, volume = node.path / "secret", node.path / "volume"
    secret.mkdir()
    (secret / "key").write_text("x")
    (volume / "own").mkdir(parents=True)
    (volume / "link").symlink_to("../" * 20 + str(secret).lstrip("/"))
    assert not rootfs.has_path([str(volume)], "link")
    assert not rootfs.has_path([str(volume)], "../" * 20 + str(secret).lstrip("/"))
    assert rootfs.has_path([str(volume)], "../../own")
    spec = node.spec("ls", "/v", mounts=(Mount("/v", kind="image", lowers=(str(volume),), sub_path="link"),))
    node.client.create(spec)
    with pytest.raises(RuntimeFault):
        node.client.start(spec.id)


def test_no_control_socket_has_an_abstract_name(node: Node) -> None:
    """CVE-2020-15257: a container on the host's network reaches the runtime by an abstract socket."""
    pids = [node.pid(name) for name in ("nk-keeper", "nk-super", "nk-logd")]
    inodes = set()
    for pid in pids:
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed since
                target = os.readlink(entry.path)
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[6] in inodes and len(fields) > 7:
            assert not fields[7].startswith("@")
    assert node.run_dir.stat().st_mode & 0o777 == 0o700 or node.run_dir.parent.stat().st_mode & 0o77 == 0
    for socket in node.run_dir.glob("*.sock"):
        assert socket.stat().st_mode & 0o77 == 0


def test_release_agents_and_new_mounts_are_out_of_reach(node: Node) -> None:
    """CVE-2022-0492: a cgroup v1 release agent is set from inside."""
    program = seccomp.runtime_default(capabilities.DEFAULT)
    script = (
        "for f in /sys/fs/cgroup/*/release_agent; do echo /bin/sh > $f && echo written; done;"
        "mount -t cgroup -o memory cgroup /tmp && echo mounted;"
        "busybox unshare -U true && echo unshared; busybox unshare -m true && echo unshared; true"
    )
    _, lines = node.run("sh", "-c", f"({script}) 2>/dev/null", process={"seccomp": program})
    assert lines == []


def test_exec_gets_no_more_than_the_container(node: Node) -> None:
    """CVE-2022-27650, CVE-2022-29162: inheritable or bounding capabilities are left over."""
    caps = Capabilities(0, 0, 0)
    process = {
        "capabilities": caps,
        "no_new_privs": True,
        "seccomp": seccomp.runtime_default(0),
        "user": User(1000, 1000, (5,)),
    }
    spec = node.spec("sleep", "30", process=process)
    node.client.create(spec)
    node.client.start(spec.id)
    result = node.client.exec_sync(spec.id, ["cat", "/proc/self/status"], 10)
    fields = dict(line.split(":\t", 1) for line in result.stdout.decode().splitlines() if ":\t" in line)
    assert {fields[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    assert fields["Uid"].split() == ["1000"] * 4
    assert fields["Groups"].split() == ["5"]


def test_output_of_a_command_does_not_fill_memory(node: Node) -> None:
    """CVE-2022-31030, CVE-2022-1708: ExecSync keeps whatever a command writes."""
    spec = node.spec("sleep", "60")
    node.client.create(spec)
    node.client.start(spec.id)
    script = ["sh", "-c", "head -c 60000000 /dev/zero; echo end >&2"]
    result = node.client.exec_sync(spec.id, script, 30, 1 << 20)
    assert (len(result.stdout), result.stderr, result.exit_code) == (1 << 20, b"end\n", 0)


def test_the_container_is_what_its_spec_says(node: Node) -> None:
    """Seen from outside: what /proc tells of the first process."""
    process = {"seccomp": seccomp.runtime_default(capabilities.DEFAULT), "user": User(1000, 1001, (7,))}
    spec = node.spec("sleep", "30", process=process)
    node.client.create(spec)
    pid = node.client.start(spec.id).pid
    text = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["1000"] * 4
    assert fields["Gid"].split() == ["1001"] * 4
    assert fields["Groups"].split() == ["7"]
    assert int(fields["CapBnd"], 16) == DEFAULT_CAPS
    assert {fields[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Amb")} == {"0" * 16}
    assert fields["Seccomp"] == "2"
    for kind in ("mnt", "pid", "cgroup"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
    descriptors = {entry.name: os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")}
    assert set(descriptors) == {"0", "1", "2"}
    groups = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    placed = [line for line in groups if line.endswith(f"/{spec.cgroup}")]
    assert len(placed) >= 5 or len(groups) == len(placed)
    assert os.readlink(f"/proc/{pid}/root") == "/"
    mounts = Path(f"/proc/{pid}/mountinfo").read_text()
    assert str(node.path) not in "".join(line.split(" - ")[0] for line in mounts.splitlines())


def test_a_container_that_left_its_cgroup_is_killed(node: Node) -> None:
    """The look from outside, soon after each start: what does not match its Spec does not stay."""
    spec = node.spec("sleep", "30")
    node.client.create(spec)
    pid = node.client.start(spec.id).pid
    aside = group.Group(hierarchy.detect(), f"{node.name}/aside")
    aside.create()
    for directory in filter(None, [*aside.v1_directories(), aside.unified]):
        (Path(directory) / "cgroup.procs").write_text(str(pid))
    state = node.client.wait(spec.id, 30)
    assert (state.exit_code, state.reason) == (137, verify.REASON)
    assert "is not in its cgroup" in state.message
