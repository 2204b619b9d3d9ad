"""Mounts, devices, masks, read-only roots, privileges and hostile images, on a real kernel."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cri.bundle import build, capabilities, seccomp
from cri.bundle.spec import Capabilities, Mount, Namespaces, Resources
from cri.runtime.faults import RuntimeFault
from tests.root.cri.runtime.conftest import Node

pytestmark = pytest.mark.root


def test_the_default_devices_and_mounts_are_there(node: Node) -> None:
    _, lines = node.run(
        "sh", "-c", "echo x >/dev/null; head -c 3 /dev/zero | wc -c; ls /dev; ls /proc | grep -c self"
    )
    assert lines[0] == "3"
    assert {"null", "zero", "pts", "shm", "mqueue", "ptmx", "fd"} <= set(lines)


def test_binds_read_only_and_writable(node: Node) -> None:
    for name in ("a", "b"):
        (node.path / name).mkdir()
    (node.path / "file").write_text("content\n")
    (node.path / "link").symlink_to(node.path / "b")
    mounts = (
        Mount("/ro", str(node.path / "a"), readonly=True),
        Mount("/deep/rw", str(node.path / "link")),
        Mount("/etc/hosts", str(node.path / "file")),
    )
    _, lines = node.run("sh", "-c", "cat /etc/hosts; echo y > /deep/rw/x; touch /ro/x 2>&1", mounts=mounts)
    assert lines == ["content", "touch: /ro/x: Read-only file system"]
    assert (node.path / "b" / "x").read_text() == "y\n"


def test_a_dangling_link_in_the_image_is_followed_inside_it(node: Node) -> None:
    (node.image / "etc" / "resolv.conf").symlink_to("../run/systemd/resolve/stub.conf")
    (node.image / "evil").symlink_to(node.path / "outside")
    (node.path / "file").write_text("nameserver\n")
    mounts = (
        Mount("/etc/resolv.conf", str(node.path / "file")),
        Mount("/evil/x", str(node.path / "file")),
    )
    assert node.run("cat", "/etc/resolv.conf", "/run/systemd/resolve/stub.conf", mounts=mounts)[0] == 0
    assert not (node.path / "outside").exists()


def test_masked_and_readonly_paths(node: Node) -> None:
    script = "ls /bin/tty; cat /proc/kcore | wc -c; ls /proc/acpi | wc -l; touch /tmp/x 2>&1; /bin/ls 2>&1"
    masks = (*build.MASKED_PATHS, "/bin/ls")
    code, lines = node.run(
        "sh", "-c", script, masked_paths=masks, readonly_paths=(*build.READONLY_PATHS, "/tmp")
    )
    assert code != 0
    assert "touch: /tmp/x: Read-only file system" in lines
    assert any("ls: Permission denied" in line for line in lines)


def test_a_mask_over_a_link_in_proc_fails_closed(node: Node) -> None:
    spec = node.spec("true", masked_paths=("/proc/self",))
    node.client.create(spec)
    with pytest.raises(RuntimeFault, match="symbolic link"):
        node.client.start(spec.id)


def test_binds_over_the_root_and_below_proc_are_refused(node: Node) -> None:
    (node.image / "trick").symlink_to("/proc/sys")
    for target in ("/proc/sys", "/trick", "/bin/.."):
        spec = node.spec("true", mounts=(Mount(target, str(node.path)),))
        node.client.create(spec)
        with pytest.raises(RuntimeFault, match="cannot mount at"):
            node.client.start(spec.id)


def test_a_read_only_root(node: Node) -> None:
    spec = node.spec("touch", "/x")
    spec = dataclasses.replace(spec, rootfs=dataclasses.replace(spec.rootfs, readonly=True))
    node.client.create(spec)
    node.client.start(spec.id)
    assert node.client.wait(spec.id, 30).exit_code == 1
    assert node.lines(spec.id) == ["touch: /x: Read-only file system"]


def test_propagation_and_recursive_read_only(node: Node) -> None:
    top = node.path / "top"
    (top / "in").mkdir(parents=True)
    mount = ["mount"]
    subprocess.run([*mount, "-t", "tmpfs", "tmpfs", str(top)], check=True)
    try:
        (top / "in").mkdir()
        subprocess.run([*mount, "--make-shared", str(top)], check=True)
        subprocess.run([*mount, "-t", "tmpfs", "tmpfs", str(top / "in")], check=True)
        caps = Capabilities(capabilities.ALL, capabilities.ALL, capabilities.ALL)
        plain, recursive = (
            node.run(
                "touch", "/v/in/x", mounts=(Mount("/v", str(top), readonly=True, recursive_readonly=r),)
            )[0]
            for r in (False, True)
        )
        assert (plain, recursive) == (0, 1)
        for propagation, visible in (("private", False), ("slave", False), ("shared", True)):
            script = "mkdir -p /v/new; mount -t tmpfs tmpfs /v/new; touch /v/new/there"
            (top / "new").mkdir(exist_ok=True)
            node.run(
                "busybox",
                "sh",
                "-c",
                script,
                mounts=(Mount("/v", str(top), propagation=propagation),),  # type: ignore[arg-type]
                process={"capabilities": caps},
            )
            assert (top / "new" / "there").exists() == visible
    finally:
        subprocess.run(["umount", "-R", "-l", str(top)], check=True)


def test_seccomp_runtime_default(node: Node) -> None:
    program = seccomp.runtime_default(capabilities.DEFAULT)
    for nnp in (False, True):
        process = {"seccomp": program, "no_new_privs": nnp}
        _, lines = node.run("sh", "-c", "grep -E '^(Seccomp|CapEff)' /proc/self/status", process=process)
        assert lines[:2] == ["CapEff:\t00000000a80425fb", "Seccomp:\t2"]
    blocked = seccomp.from_json(
        b'{"defaultAction":"SCMP_ACT_ALLOW","syscalls":'
        b'[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}'
    )
    _, lines = node.run("sh", "-c", "busybox mkdir /x 2>&1", process={"seccomp": blocked})
    assert "Operation not permitted" in lines[0]


def test_devices_outside_the_list_cannot_be_opened(node: Node) -> None:
    script = "busybox mknod /x b 7 0 && head -c 1 /x 2>&1"
    assert "Operation not permitted" in node.run("sh", "-c", script)[1][0]


def test_an_image_cannot_run_the_interpreter_through_proc_self_exe(node: Node) -> None:
    (node.image / "bin" / "evil").write_text("#!/proc/self/exe\n")
    (node.image / "bin" / "evil").chmod(0o755)
    spec = node.spec("/bin/evil")
    node.client.create(spec)
    try:
        node.client.start(spec.id)
        assert node.client.wait(spec.id, 30).exit_code != 0
    except RuntimeFault:
        pass
    assert os.statvfs(f"/proc/{node.pid('nk-super')}/exe").f_flag & os.ST_RDONLY


def test_no_descriptor_of_the_host_reaches_the_command(node: Node) -> None:
    _, lines = node.run("sh", "-c", "ls /proc/self/fd")
    assert set(lines) <= {"0", "1", "2", "3"}  # 3: ls reading the directory
    spec = node.spec("true", process={"cwd": "/proc/self/fd/4"})
    node.client.create(spec)
    with pytest.raises(RuntimeFault, match="chdir to cwd"):
        node.client.start(spec.id)


def test_host_namespaces_are_the_hosts(node: Node) -> None:
    script = "for n in net uts pid; do busybox readlink /proc/self/ns/$n; done"
    _, lines = node.run("sh", "-c", script, namespaces=Namespaces(pid="host"))
    assert lines == [os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "uts", "pid")]


def test_pinned_namespaces_and_their_sysctls(node: Node) -> None:
    child = subprocess.Popen(
        ["unshare", "-n", "-i", "-u", "sh", "-c", "hostname pod; echo up; exec sleep 60"],
        stdout=subprocess.PIPE,
    )
    try:
        assert child.stdout
        assert child.stdout.readline() == b"up\n"
        where = {k: f"/proc/{child.pid}/ns/{k}" for k in ("net", "ipc", "uts")}
        _, lines = node.run(
            "sh",
            "-c",
            "hostname; cat /proc/sys/kernel/shm_rmid_forced /proc/sys/fs/mqueue/msg_max",
            namespaces=Namespaces(where["net"], where["ipc"], where["uts"]),
            sysctls=(("kernel.shm_rmid_forced", "1"), ("fs.mqueue.msg_max", "100")),
        )
        assert lines == ["pod", "1", "100"]
    finally:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()
    spec = node.spec("true", sysctls=(("kernel.shm_rmid_forced", "1"),))
    node.client.create(spec)
    with pytest.raises(RuntimeFault, match="cannot set sysctl"):
        node.client.start(spec.id)


def test_privileged_sees_host_devices(node: Node) -> None:
    caps = Capabilities(capabilities.ALL, capabilities.ALL, capabilities.ALL)
    _, lines = node.run(
        "sh",
        "-c",
        "ls /dev",
        host_devices=True,
        writable_sys=True,
        writable_cgroup=True,
        process={"capabilities": caps},
    )
    nodes = {p.name for p in Path("/dev").iterdir() if p.is_char_device() and not p.is_symlink()}
    assert nodes - {"console"} <= set(lines)


def test_the_cgroup_tree_shows_the_containers_own(node: Node) -> None:
    limit = 64 << 20
    script = (
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; touch /sys/fs/cgroup/x"
    )
    _, lines = node.run("sh", "-c", f"({script}) 2>&1", resources=Resources(memory_limit=limit))
    assert str(limit) in lines
    assert "touch: /sys/fs/cgroup/x: Read-only file system" in lines


def test_image_volumes(node: Node) -> None:
    volume = node.path / "vol"
    (volume / "etc").mkdir(parents=True)
    (volume / "etc" / "f").write_text("in\n")
    whole = Mount("/v", kind="image", lowers=(str(volume),))
    part = Mount("/p", kind="image", lowers=(str(volume),), sub_path="etc")
    _, lines = node.run("sh", "-c", "cat /v/etc/f /p/f; touch /v/x 2>&1", mounts=(whole, part))
    assert lines == ["in", "in", "touch: /v/x: Read-only file system"]
    missing = dataclasses.replace(part, sub_path="nosuch")
    spec = node.spec("true", mounts=(missing,))
    node.client.create(spec)
    with pytest.raises(RuntimeFault, match="no such file"):
        node.client.start(spec.id)


def test_a_root_of_120_layers(node: Node) -> None:
    layers = []
    for number in range(119):
        layer = node.path / "layers" / f"{number:064x}"
        layer.mkdir(parents=True)
        (layer / f"file{number}").touch()
        layers.append(str(layer))
    spec = node.spec("ls", "/file0", "/file118")
    spec = dataclasses.replace(
        spec, rootfs=dataclasses.replace(spec.rootfs, lowers=(*layers, *spec.rootfs.lowers))
    )
    node.client.create(spec)
    node.client.start(spec.id)
    assert node.client.wait(spec.id, 30).exit_code == 0


_OLD_KERNEL = """
import os, sys
from cri.linux import clone, mount, overlay
from cri.runtime import root
clone.unshare(clone.CLONE_NEWNS)
mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
overlay._one_by_one.append(False)
top = root.overlay(sys.argv[3:], sys.argv[1], sys.argv[2])
os.mkdir("made", dir_fd=top)
print(sorted(os.listdir(f"/proc/self/fd/{top}")), len(open("/proc/self/mounts").read().split(sys.argv[2])))
"""


def test_layers_by_name_where_the_kernel_is_old(node: Node) -> None:
    for name in ("upper", "work", *(f"layer{number}" for number in range(50))):
        (node.path / "old" / name / f"in-{name}").mkdir(parents=True)
    (node.path / "old" / "work" / "in-work").rmdir()
    names = [str(node.path / "old" / name) for name in ("upper", "work", *(f"layer{n}" for n in range(50)))]
    done = subprocess.run(
        [sys.executable, "-c", _OLD_KERNEL, *names], capture_output=True, text=True, check=True
    )
    assert "in-layer0" in done.stdout
    assert "in-layer49" in done.stdout
    assert done.stdout.endswith("1\n")  # nothing stays mounted
    assert (node.path / "old" / "upper" / "made").is_dir()
