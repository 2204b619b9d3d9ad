"""The last Python of a container: what its first process does between clone3(2) and execve(2).

    born in its cgroup and namespaces -> sources of mounts -> root -> identity -> waits -> command

Everything the host must give (bind sources, namespaces) is opened before the root changes. The control socket
tells the supervisor ("ready" | "error", text | "master" + descriptor); its end without an error, after the
go, means that execve(2) succeeded. Source: runtime-spec config.md, config-linux.md.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat

from cri.cgroup.group import Group
from cri.linux import clone, mount, prctl, pty
from cri.linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from cri.runtime import packets, process, root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from cri.cgroup.hierarchy import Hierarchies

GO = b"go"
_DEFAULT_TARGETS = frozenset(
    {"/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys/fs/cgroup"}
)
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")


class Job:
    """What the supervisor hands to the child; descriptors are the child's after the clone.

    stdio: (in, out, err), -1 = null or the terminal; stage: an empty directory of the host.
    """

    __slots__ = ("control", "hierarchies", "spec", "stage", "stdio")

    def __init__(
        self,
        spec: dict[str, Any],
        control: socket.socket,
        stdio: tuple[int, int, int],
        stage: str,
        hierarchies: Hierarchies,
    ) -> None:
        self.spec = spec
        self.control = control
        self.stdio = stdio
        self.stage = stage
        self.hierarchies = hierarchies


def run(job: Job) -> NoReturn:
    """Prepare, wait for the go, execute; never returns."""
    try:
        close_others({job.control.fileno(), *job.stdio})
        prctl.set_dumpable(False)  # joins of a PID namespace must not expose us (CVE-2016-9962)
        os.setsid()
        os.umask(0o022)
        if job.spec["holder"]:
            _hold(job)
        else:
            _prepare(job)
            _wait_for_go(job.control)
            process.execute(job.spec["process"])
    except BaseException as error:  # whatever it is, the supervisor must hear of it
        report(job.control, error)
    os._exit(127)


def report(control: socket.socket, error: BaseException) -> None:
    """Tell the supervisor why the command will not run."""
    with contextlib.suppress(OSError):
        packets.send(control, ("error", process.describe(error)))


def close_others(keep: set[int]) -> None:
    """Close every descriptor but stdio and keep: no other container's may stay open here."""
    low = 3
    for fd in sorted(fd for fd in keep if fd > 2):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, _OPEN_MAX)


_OPEN_MAX = os.sysconf("SC_OPEN_MAX")


def _wait_for_go(control: socket.socket) -> None:
    packets.send(control, ("ready", ""))
    if control.recv(16) != GO:
        os._exit(0)  # the supervisor is gone: this container was never started


def _prepare(job: Job) -> None:
    spec, command = job.spec, job.spec["process"]
    Group(job.hierarchies, spec["cgroup"]).attach(0, unified=False)
    clone.unshare(clone.CLONE_NEWCGROUP)
    process.adjust(command)
    sources = [_source(entry) for entry in spec["mounts"]]
    nodes = _device_nodes(spec)
    for kind in ("net", "ipc", "uts"):
        if path := spec["namespaces"][kind]:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            clone.setns(fd)
            os.close(fd)
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
    top = _mount_root(job)
    peer = _fill(job, top, sources, nodes)
    process.forget_modules()
    root.enter(top)
    null = (
        os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
        if min(job.stdio) < 0 and peer < 0
        else -1
    )
    if peer >= 0:
        pty.take_control(peer)
        process.set_stdio(peer, peer, peer)
    else:
        process.set_stdio(*(fd if fd >= 0 else null for fd in job.stdio))
    process.reset_signals()
    close_others({job.control.fileno()})  # no directory of the host within reach (CVE-2024-21626)
    prctl.close_on_exec_from(3)
    process.change_directory(command["cwd"])
    process.become(command)
    prctl.set_dumpable(False)


def _source(entry: dict[str, Any]) -> int:
    try:
        return root.open_source(entry)
    except OSError as error:
        what = entry["source"] or entry["kind"]
        raise OSError(
            error.errno, f"cannot mount {what} at {entry['target']}: {process.describe(error)}"
        ) from error


def _mount_root(job: Job) -> int:
    layers = job.spec["rootfs"]
    try:
        top = root.overlay(layers["lowers"], layers["upper"], layers["work"])
    except OSError as error:
        raise OSError(error.errno, f"cannot mount the root filesystem: {process.describe(error)}") from error
    stage = os.open(job.stage, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mount.attach(top, stage)
    os.close(stage)
    return top


def _fill(job: Job, top: int, sources: list[int], nodes: list[tuple[str, int, int, int, int]]) -> int:
    """Mount everything below the root; the terminal's peer descriptor, or -1."""
    spec = job.spec
    covered = _DEFAULT_TARGETS & {entry["target"].rstrip("/") for entry in spec["mounts"]}
    proc = _mount_proc(top, covered)
    dev = root.make_dev(top, covered, spec["shm_size"]) if "/dev" not in covered else -1
    if "/sys" not in covered:
        root.make_sys(top, writable=spec["writable_sys"])
        if "/sys/fs/cgroup" not in covered:
            _mount_cgroup(job, top)
    for node in nodes:
        root.add_node(top, *node)
    for tree, entry in zip(sources, spec["mounts"], strict=True):
        try:
            root.attach_bind(top, tree, entry["target"], proc)
        except OSError as error:
            raise OSError(
                error.errno, f"cannot mount at {entry['target']}: {process.describe(error)}"
            ) from error
        os.close(tree)
    peer = _make_terminal(job, top, dev) if spec["process"]["tty"] else -1
    _make_cwd(top, spec["process"]["cwd"])
    _set_sysctls(spec, proc)
    root.make_readonly(top, spec["readonly_paths"])
    if spec["masked_paths"]:
        root.mask(top, _null(top, dev), spec["masked_paths"])
    if spec["rootfs"]["readonly"]:
        mount.set_attributes(top, set_=mount.MOUNT_ATTR_RDONLY, recursive=False)
    return peer


def _mount_proc(top: int, covered: frozenset[str]) -> int:
    if "/proc" in covered:
        return -1
    attributes = mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV | mount.MOUNT_ATTR_NOEXEC
    proc = mount.new_filesystem("proc", (), attributes)
    root.attach(top, proc, "/proc")
    return proc


def _mount_cgroup(job: Job, top: int) -> None:
    groups: dict[str, list[str]] = {}
    for controller, point in job.hierarchies.v1.items():
        groups.setdefault(point, []).append(controller)
    names = [",".join(controllers) for controllers in groups.values()]
    root.make_cgroup(top, names, pure_v2=job.hierarchies.is_pure_v2, writable=job.spec["writable_cgroup"])


def _null(top: int, dev: int) -> int:
    """A null device that the container cannot have replaced (CVE-2025-31133)."""
    if dev >= 0:
        fd = openat2(dev, "null", os.O_PATH, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
    else:
        fd = root.open_target(top, "/dev/null", is_directory=False)
    status = os.fstat(fd)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != os.makedev(1, 3):
        raise OSError(19, "is not the null device", "/dev/null")
    return fd


def _make_terminal(job: Job, top: int, dev: int) -> int:
    """Open a terminal in the container's own devpts, send its master away, show the peer as /dev/console."""
    devpts = root.open_target(top, "/dev/pts", is_directory=True)
    master, peer = pty.open_pair(devpts)
    user = job.spec["process"]["user"]
    os.fchown(peer, user["uid"], -1)
    packets.send(job.control, ("master", ""), [master])
    os.close(master)
    os.close(devpts)
    if dev >= 0:
        os.close(os.open("console", os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=dev))
        root.attach(dev, mount.clone_tree(peer, recursive=False), "console")
    return peer


def _make_cwd(top: int, cwd: str) -> None:
    with contextlib.suppress(OSError):  # chdir says what is wrong
        os.close(root.open_target(top, cwd, is_directory=True))


def _device_nodes(spec: dict[str, Any]) -> list[tuple[str, int, int, int, int]]:
    nodes = []
    if spec["host_devices"]:
        nodes += [(f"/dev/{path}", *rest) for path, *rest in root.host_nodes()]
    for device in spec["devices"]:
        source, target = device["source"], device["target"] or device["source"]
        status = os.stat(source)
        paths = [("", status)]
        if stat.S_ISDIR(status.st_mode):
            paths = [(f"/{entry.name}", entry.stat()) for entry in os.scandir(source)]
        for suffix, found in paths:
            if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
                nodes.append((target + suffix, found.st_mode, found.st_rdev, found.st_uid, found.st_gid))
    return nodes  # type: ignore[return-value]


def _set_sysctls(spec: dict[str, Any], proc: int) -> None:
    for name, value in spec["sysctls"]:
        namespace = "net" if name.startswith("net.") else "ipc" if name.startswith(_IPC_SYSCTLS) else ""
        if not namespace or not spec["namespaces"][namespace]:
            raise OSError(1, f"cannot set sysctl {name}: not of a namespace of this Pod")
        path = "sys/" + name.translate({ord("."): "/", ord("/"): "."})
        fd = openat2(proc, path, os.O_WRONLY, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
        try:
            os.write(fd, value.encode())
        except OSError as error:
            raise OSError(error.errno, f"cannot set sysctl {name}: {error.strerror}") from error
        finally:
            os.close(fd)


def _hold(job: Job) -> NoReturn:
    """Be the init of a shared PID namespace: own nothing, see nothing, reap."""
    Group(job.hierarchies, job.spec["cgroup"]).attach(0, unified=False)
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
    mount.mount("tmpfs", job.stage, "tmpfs", mount.MS_NOSUID | mount.MS_NODEV, "size=4k,nr_inodes=2,mode=555")
    process.forget_modules()
    root.enter(os.open(job.stage, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    prctl.set_name("pause")
    process.reset_signals()
    signals = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    prctl.drop_bounding(0)
    os.setgroups([])
    os.setresgid(65535, 65535, 65535)
    os.setresuid(65535, 65535, 65535)
    prctl.set_no_new_privileges()
    prctl.set_dumpable(False)
    job.control.close()
    os.closerange(0, _OPEN_MAX)
    while signal.sigwait(signals) == signal.SIGCHLD:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            continue
    os._exit(0)
