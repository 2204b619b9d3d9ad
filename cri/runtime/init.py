"""The last Python of a container: what its first process does between clone3(2) and execve(2).

    born in its cgroup -> sources of mounts -> (user namespace) -> root -> identity -> waits -> command

Everything the host must give (bind sources, namespaces) is opened before the root changes. The control
socket tells the supervisor ("ready" | "error", text | "master" + terminal | "born" + pidfd); its end without
an error, after the go, means that execve(2) succeeded. Source: runtime-spec config.md, config-linux.md.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat

from cri.cgroup import devices
from cri.cgroup.group import Group
from cri.linux import clone, keyring, labels, mount, prctl, pty
from cri.linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from cri.runtime import packets, pause, process, root, userns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from cri.cgroup.hierarchy import Hierarchies
    from cri.runtime.stock import Set

    Node = tuple[str, int, int, int, int]  # path, mode, device, uid, gid

GO = b"go"
NEVER_STARTED = 119  # exit code without a go: another supervisor may start the container anew
_DEFAULT_TARGETS = frozenset(
    {"/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys/fs/cgroup"}
)
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")


class Job:
    """What the supervisor hands to the child; descriptors are the child's after the clone.

    stdio: (in, out, err), -1 = null or the terminal; stage: an empty directory of the host.
    target: with a user namespace, a pidfd whose PID namespace is joined; else -1.
    ready: filesystems made ahead, None = all are made here.
    """

    __slots__ = ("control", "hierarchies", "ready", "spec", "stage", "stdio", "target")

    def __init__(
        self,
        spec: dict[str, Any],
        control: socket.socket,
        stdio: tuple[int, int, int],
        stage: str,
        hierarchies: Hierarchies,
        target: int = -1,
        ready: Set | None = None,
    ) -> None:
        self.ready = ready
        self.spec = spec
        self.target = target
        self.control = control
        self.stdio = stdio
        self.stage = stage
        self.hierarchies = hierarchies


class Host:
    """What is opened while the process still has the host's rights; -1 = made later, with its own.

    top: the root filesystem; dev: its /dev; sources: of the Spec's mounts; namespaces: to be joined.
    """

    __slots__ = ("dev", "namespaces", "nodes", "sources", "top")

    def __init__(self) -> None:
        self.top = self.dev = -1
        self.sources: list[int] = []
        self.namespaces: list[int] = []
        self.nodes: list[Node] = []


def run(job: Job) -> NoReturn:
    """Prepare, wait for the go, execute; never returns."""
    try:
        ready = job.ready.descriptors() if job.ready else ()
        close_others({job.control.fileno(), job.target, *job.stdio, *ready})
        prctl.set_dumpable(False)  # joins of a PID namespace must not expose us (CVE-2016-9962)
        os.umask(0o022)
        host = _gather(job)
        os.setsid()
        if job.spec["holder"]:
            _hold(job)
        else:
            _prepare(job, host)
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
    close_all({0, 1, 2, *keep})


def close_all(keep: set[int]) -> None:
    """Close every descriptor but keep."""
    low = 0
    for fd in sorted(fd for fd in keep if fd >= 0):
        if fd > low:  # closerange(0, 0) closes all: CPython hands close_range(2) 0 and -1
            os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, _OPEN_MAX)


_OPEN_MAX = os.sysconf("SC_OPEN_MAX")


def _wait_for_go(control: socket.socket) -> None:
    word = b""
    with contextlib.suppress(OSError):  # reset: the supervisor died with our word unread
        packets.send(control, ("ready", ""))
        word = control.recv(16)
    if word != GO:
        os._exit(NEVER_STARTED)  # the supervisor is gone


def _gather(job: Job) -> Host:
    """Join the cgroup and open what the host gives; then, where there is one, enter the user namespace."""
    spec, host = job.spec, Host()
    user = _open(spec["namespaces"]["user"]) if spec["namespaces"]["user"] else -1
    Group(job.hierarchies, spec["cgroup"]).join()
    if not spec["holder"]:
        process.adjust(spec["process"])
        host.sources = [
            _source(job, entry, user) if user >= 0 or entry["kind"] != "image" else -1
            for entry in spec["mounts"]
        ]
        host.nodes = _device_nodes(spec)
        host.namespaces = [_open(p) for k in ("net", "ipc", "uts") if (p := spec["namespaces"][k])]
    if user >= 0:
        if not spec["holder"]:
            host.top = _root(spec, user)
            _gather_dev(spec, host)
        own_pid = spec["namespaces"]["pid"] == "own"
        userns.cross(job.control, user, job.target, clone.CLONE_NEWPID if own_pid else 0)
        close_fds(user, job.target)
    elif not spec["holder"]:
        clone.unshare(clone.CLONE_NEWCGROUP)
    return host


def _gather_dev(spec: dict[str, Any], host: Host) -> None:
    """Make /dev outside the user namespace: device nodes of a filesystem made inside do not open."""
    owner = userns.host_id(spec["namespaces"]["uid_map"], 0), userns.host_id(spec["namespaces"]["gid_map"], 0)
    nodes, host.nodes = host.nodes, []
    if "/dev" in _covered(spec):
        return
    host.dev = root.make_dev(owner, spec.get("mount_label", ""))
    for path, *rest in nodes:
        if not path.startswith("/dev/"):
            raise OSError(1, "cannot make a device node outside /dev in a user namespace", path)
        root.add_node(host.dev, path[4:], *rest)


def close_fds(*fds: int) -> None:
    """Close descriptors; -1 is none."""
    for fd in fds:
        if fd >= 0:
            os.close(fd)


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _prepare(job: Job, host: Host) -> None:
    command = job.spec["process"]
    for fd in host.namespaces:
        clone.setns(fd)
        os.close(fd)
    labels.apply_at_exec(command.get("apparmor", ""), command.get("selinux", ""))
    keyring.leave_session()
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
    top, peer = assemble(job, host)
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


def assemble(job: Job, host: Host) -> tuple[int, int]:
    """Make the root filesystem with all that is mounted in it, on the stage of a private mount namespace.

    Returns its descriptor and that of the terminal's peer, -1 = none. Raises OSError.
    """
    spec = job.spec
    for number, entry in enumerate(spec["mounts"]):
        if (
            host.sources[number] < 0
        ):  # older kernels must attach image volumes for a moment, which no other may see
            host.sources[number] = _source(job, entry, -1, job.stage)
    top = host.top if host.top >= 0 else _root(spec, -1)
    _stage(job, top)
    if spec["namespaces"]["user"]:
        userns.become_root()
    return top, _fill(job, top, host)


def _source(job: Job, entry: dict[str, Any], user: int, stage: str = "") -> int:
    spec = job.spec
    try:
        if entry["kind"] == "tmpfs" and user >= 0:
            ids = (userns.host_id(spec["namespaces"][f"{kind}_map"], 0) for kind in ("uid", "gid"))
            owner = (f"{name}={number}" for name, number in zip(("uid", "gid"), ids, strict=True))
            entry = {**entry, "options": (*owner, *entry["options"])}
        label = spec.get("mount_label", "")
        return root.open_source(entry, user, stage, label=label, empty=job.stage)
    except OSError as error:
        what = entry["source"] or entry["kind"]
        raise OSError(
            error.errno, f"cannot mount {what} at {entry['target']}: {process.describe(error)}"
        ) from error


def _root(spec: dict[str, Any], user: int) -> int:
    layers = spec["rootfs"]
    try:
        label = spec.get("mount_label", "")
        return root.overlay(layers["lowers"], layers["upper"], layers["work"], user, label=label)
    except OSError as error:
        raise OSError(error.errno, f"cannot mount the root filesystem: {process.describe(error)}") from error


def _stage(job: Job, top: int) -> None:
    stage = os.open(job.stage, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mount.attach(top, stage)
    os.close(stage)


def _covered(spec: dict[str, Any]) -> frozenset[str]:
    """Default mount points that the Spec's own mounts replace."""
    return _DEFAULT_TARGETS & {entry["target"].rstrip("/") for entry in spec["mounts"]}


def _fill(job: Job, top: int, host: Host) -> int:
    """Mount everything below the root; the terminal's peer descriptor, or -1."""
    spec, ready = job.spec, job.ready
    covered, label = _covered(spec), spec.get("mount_label", "")
    proc = _mount_proc(top, covered)
    dev = -1
    if "/dev" not in covered:
        dev = ready.dev if ready else host.dev if host.dev >= 0 else root.make_dev((0, 0), label)
        root.attach_dev(top, dev, covered, spec["shm_size"], label, ready.pts if ready else -1)
    if "/sys" not in covered:
        root.make_sys(top, writable=spec["writable_sys"])
        if "/sys/fs/cgroup" not in covered:
            _mount_cgroup(job, top)
    for node in host.nodes:
        root.add_node(top, *node)
    for tree, entry in zip(host.sources, spec["mounts"], strict=True):
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
        root.mask(top, _null(top, dev), spec["masked_paths"], label)
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
    names, writable = job.hierarchies.v1_names(), job.spec["writable_cgroup"]
    places = job.ready.groups if job.ready else -1
    root.make_cgroup(top, names, pure_v2=job.hierarchies.is_pure_v2, writable=writable, places=places)


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


def _device_nodes(spec: dict[str, Any]) -> list[Node]:
    nodes: list[Node] = []
    if spec["host_devices"]:
        nodes += [("/dev/" + entry[0], *entry[1:]) for entry in root.host_nodes()]
    for device in spec["devices"]:
        source, target = device["source"], device["target"] or device["source"]
        for suffix, found in devices.nodes(source):
            path = target.rstrip("/") + suffix
            nodes.append((path, found.st_mode, found.st_rdev, found.st_uid, found.st_gid))
    return nodes


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
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
    mount.mount("tmpfs", job.stage, "tmpfs", mount.MS_NOSUID | mount.MS_NODEV, "size=4k,nr_inodes=2,mode=555")
    program = _open_pause()
    process.forget_modules()
    root.enter(os.open(job.stage, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    prctl.set_name("pause")
    process.reset_signals()
    if program >= 0:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps, also after execve(2)
    signals = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    prctl.drop_bounding(0)
    os.setgroups([])
    uid, gid = (_nobody(job.spec["namespaces"][f"{kind}_map"]) for kind in ("uid", "gid"))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    prctl.set_no_new_privileges()
    prctl.set_dumpable(False)
    job.control.close()
    close_all({program} if program >= 0 else set())
    if program >= 0:
        os.execve(program, ["pause"], {})
    while signal.sigwait(signals) == signal.SIGCHLD:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            continue
    os._exit(0)


def _open_pause() -> int:
    """A descriptor of the holder's program in memory, where there is one for this machine; else -1."""
    content = pause.program(os.uname().machine)
    if not content:
        return -1
    made = os.memfd_create("pause", os.MFD_CLOEXEC)
    os.write(made, content)
    os.fchmod(made, 0o555)
    # anew, as what somebody may write to does not execute
    program = os.open(f"/proc/self/fd/{made}", os.O_RDONLY | os.O_CLOEXEC)
    os.close(made)
    return program


def _nobody(mapping: Any) -> int:
    """An id that owns nothing: 65535, or the last one the user namespace has."""
    return min([65535, *(int(inside + count - 1) for inside, _, count in mapping)])
