"""What to set up for one container: plain values that cross the supervisor's socket. Pure.

`to_wire` turns a Spec into dicts, tuples, strings, numbers and bytes only (what marshal can carry);
the supervisor never imports this module.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

PidMode = Literal["own", "host", "container"]
MountKind = Literal["bind", "tmpfs", "image"]
Propagation = Literal["private", "slave", "shared"]
IdMap = tuple[tuple[int, int, int], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """Numeric identity of a process; groups are the supplementary ones."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Capabilities:
    """The five sets, each a mask with bit N for capability N (capability.h)."""

    bounding: int = 0
    permitted: int = 0
    effective: int = 0
    inheritable: int = 0
    ambient: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Rlimit:
    """One resource limit; kind is a name of getrlimit(2) without RLIMIT_, such as NOFILE."""

    kind: str
    soft: int
    hard: int


@dataclasses.dataclass(frozen=True, slots=True)
class Process:
    """What is executed and as whom.

    env: "NAME=value" strings, in order; seccomp: a BPF program (struct sock_filter array), empty = none;
    seccomp_flags: SECCOMP_FILTER_FLAG_* it is loaded with.
    apparmor: name of a loaded profile, selinux: a context, "" = none.
    """

    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: User = User()
    capabilities: Capabilities = Capabilities()
    no_new_privs: bool = False
    seccomp: bytes = b""
    seccomp_flags: int = 0
    apparmor: str = ""
    selinux: str = ""
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int = 0
    tty: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Rootfs:
    """Overlay directories on the host; lowers are ordered topmost first (as overlay's lowerdir)."""

    lowers: tuple[str, ...]
    upper: str
    work: str
    readonly: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Mount:
    """One mount of the container.

    kind bind: source is a host path (symbolic links are followed on the host);
    kind tmpfs: options are "name=value" filesystem options;
    kind image: lowers are layer directories, topmost first, shown read-only; sub_path within them.
    idmapped: owners on disk are shown as ids of the Pod's user namespace (bind and image).
    """

    target: str
    source: str = ""
    kind: MountKind = "bind"
    readonly: bool = False
    recursive_readonly: bool = False
    propagation: Propagation = "private"
    options: tuple[str, ...] = ()
    lowers: tuple[str, ...] = ()
    sub_path: str = ""
    idmapped: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Namespaces:
    """Where the process lives.

    net, ipc, uts: path of a pinned namespace (bind mount of /proc/*/ns/*), "" = the host's;
    pid: own, host, or that of the container (or holder) named by pid_target.
    Mount and cgroup namespaces are always own.
    user: path of the pinned user namespace that owns net, ipc and uts, "" = the host's; uid_map and gid_map
        are its mappings, of (id inside, id on the host, count).
    """

    net: str = ""
    ipc: str = ""
    uts: str = ""
    pid: PidMode = "own"
    pid_target: str = ""
    user: str = ""
    uid_map: IdMap = ()
    gid_map: IdMap = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Resources:
    """Limits; 0 or "" = not set. memory and swap in bytes (swap = memory+swap together, as in CRI).

    cpu_shares in cgroup v1 scale (2..262144); cpu_quota -1 = unlimited; pids -1 = unlimited.
    hugepage_limits: (page size as the kernel writes it, such as 2MB; bytes).
    unified: raw cgroup v2 files, applied last, only where that controller is on v2.
    """

    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    memory_limit: int = 0
    memory_swap_limit: int = 0
    pids_limit: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    hugepage_limits: tuple[tuple[str, int], ...] = ()
    unified: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Device:
    """A host device node (or a directory of them) to show at target; permissions out of "rwm"."""

    source: str
    target: str
    permissions: str = "rwm"


@dataclasses.dataclass(frozen=True, slots=True)
class Spec:
    """Everything the supervisor needs to make one container.

    cgroup: relative to the root of every hierarchy, such as nanokube/pods/burstable/podU/C;
        missing parents are made, and stay when the container is removed.
    log_path: absolute file of CRI log lines, "" = output is discarded (attach still sees it).
    holder: no image and no process of its own: only keeps a PID namespace alive (shareProcessNamespace);
        process and rootfs are ignored. It is its PID namespace's init and reaps.
    host_devices: every device node of the host is made in /dev (privileged).
    writable_sys, writable_cgroup: /sys and /sys/fs/cgroup are mounted writable (privileged).
    sysctls: (name with dots, value); refused for a namespace that is the host's.
    stop_signal: what stop() sends first.
    mount_label: SELinux context of the filesystems made for it, "" = the policy's.
    """

    id: str
    sandbox_id: str
    process: Process
    rootfs: Rootfs
    cgroup: str
    mounts: tuple[Mount, ...] = ()
    namespaces: Namespaces = Namespaces()
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    resources: Resources = Resources()
    devices: tuple[Device, ...] = ()
    host_devices: bool = False
    writable_sys: bool = False
    writable_cgroup: bool = False
    sysctls: tuple[tuple[str, str], ...] = ()
    shm_size: int = 64 << 20
    stdin: bool = False
    stdin_once: bool = False
    log_path: str = ""
    stop_signal: int = 15
    mount_label: str = ""
    holder: bool = False


_PLAIN = frozenset((str, int, bytes, bool))  # most of a Spec: looked at first, it is a third quicker


def to_wire(value: Any) -> Any:
    """Turn a dataclass of this module into dicts and plain values (deep)."""
    if type(value) in _PLAIN:
        return value
    if dataclasses.is_dataclass(value):  # not by fields(): it leaves a spare tuple behind at each call
        return {name: to_wire(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, (tuple, list)):
        return tuple([to_wire(item) for item in value])
    return value


def holder_spec(
    container_id: str, sandbox_id: str, cgroup: str, namespaces: Namespaces | None = None
) -> Spec:
    """Describe the tiny process that owns the PID namespace of a Pod with shareProcessNamespace."""
    return Spec(
        id=container_id,
        sandbox_id=sandbox_id,
        process=Process(argv=("pause",)),
        rootfs=Rootfs((), "", ""),
        cgroup=cgroup,
        namespaces=namespaces or Namespaces(),
        holder=True,
    )
