"""A look at a started container from outside: is it held by what its Spec says?

Guards against mistakes of ours, not against the container: what a process may rightly change of itself once
it runs (its ids, files it opens, namespaces it makes or, with CAP_SYS_ADMIN, joins) is not judged; what it
could never have got is.
Source: proc_pid_status(5), namespaces(7), user_namespaces(7), cgroups(7).
"""

from __future__ import annotations

import logging
import os
import signal
import stat

from cri.linux import labels
from cri.runtime import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from cri.cgroup.hierarchy import Hierarchies
    from cri.runtime.container import Container
    from cri.runtime.supervisor import Supervisor

log = logging.getLogger(__name__)

REASON = "IsolationMismatch"
_DELAY_S = 0.05  # off the way of the starts that come in a row
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_DESCRIPTORS_MAX = 64
_SYS_ADMIN = 1 << 21
_EXITING = 4  # PF_EXITING of field 9 in proc_pid_stat(5); source: include/linux/sched.h


class Seen:
    """What /proc tells of a process.

    status: fields of /proc/PID/status; cgroups: its path in each hierarchy we use;
    namespaces: inode of each; user: inode of the user namespace it belongs in;
    ids: lines of uid_map and gid_map; strangers: open directories of the host's mount namespace.
    """

    __slots__ = ("apparmor", "cgroups", "ids", "namespaces", "selinux", "status", "strangers", "user")

    def __init__(self) -> None:
        self.status: Mapping[str, str] = {}
        self.namespaces: Mapping[str, int] = {}
        self.cgroups: Sequence[str] = ()
        self.ids: Mapping[str, Sequence[tuple[int, int, int]]] = {}
        self.strangers: Sequence[str] = ()
        self.user = 0
        self.apparmor = ""
        self.selinux = ""


def schedule(supervisor: Supervisor, made: Container) -> None:
    """Look at a container that has just been started, soon; one that does not match its Spec is killed."""
    supervisor.loop.after(_DELAY_S, lambda: _verify(made))


def _verify(made: Container) -> None:
    if made.pidfd < 0 or made.spec["holder"]:
        return
    try:
        seen, host = look(made.pid, made.spec, made.group.hierarchies), _host()
    except (OSError, ValueError, IndexError):
        return  # it has ended: its process cannot be another's, as we have not reaped it
    wrong = compare(made.spec, seen, host)
    if wrong and not is_ending(made.pid):
        made.reason, made.message = REASON, f"killed: {'; '.join(wrong)}"
        log.error("container killed id=%s: %s", made.id, "; ".join(wrong))
        made.group.kill()
        spawn.kill(made.pidfd, signal.SIGKILL)  # it may be elsewhere


def is_ending(pid: int) -> bool:
    """Say whether a process has begun to end: cgroup v1 then tells the root as its group."""
    try:
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except OSError:
        return True
    return bool(int(fields[6]) & _EXITING)


def look(pid: int, spec: Mapping[str, Any], hierarchies: Hierarchies) -> Seen:
    """Read what /proc tells of a process. Raises OSError if it is gone. Some hundred microseconds."""
    seen = Seen()
    seen.status = _fields(_read(f"/proc/{pid}/status"))
    seen.namespaces = {kind: os.stat(f"/proc/{pid}/ns/{kind}").st_ino for kind in _NAMESPACES}
    seen.cgroups = _cgroups(_read(f"/proc/{pid}/cgroup"), hierarchies)
    user = spec["namespaces"]["user"]
    seen.user = os.stat(user or "/proc/self/ns/user").st_ino
    if user:
        seen.ids = {kind: _ids(_read(f"/proc/{pid}/{kind}_map")) for kind in ("uid", "gid")}
    seen.strangers = _strangers(pid)
    seen.apparmor = labels.current(pid) if spec["process"].get("apparmor") else ""
    seen.selinux = labels.current_context(pid) if spec["process"].get("selinux") else ""
    return seen


def compare(spec: Mapping[str, Any], seen: Seen, host: Seen) -> list[str]:
    """Say what is not as the Spec wants it; nothing if all is well. Pure."""
    wrong = _compare_rights(spec["process"], seen)
    wrong += _compare_context(spec["process"].get("selinux", ""), seen.selinux, host.selinux)
    if spec["process"]["capabilities"]["bounding"] & _SYS_ADMIN:
        return wrong  # such as nsenter to the host, asked for by many a privileged Pod
    wrong += _compare_namespaces(spec["namespaces"], seen, host)
    inside = f"/{spec['cgroup']}/"
    if not all(inside in f"{path}/" for path in seen.cgroups):
        wrong.append("is not in its cgroup")
    wrong += [f"holds a directory of the host: {path}" for path in seen.strangers]
    return wrong


def _compare_namespaces(wanted: Mapping[str, Any], seen: Seen, host: Seen) -> list[str]:
    own = {"mnt", "cgroup"} | {kind for kind in ("net", "ipc", "uts", "user") if wanted[kind]}
    if wanted["pid"] == "own":
        own.add("pid")
    wrong = [
        f"is in the host's {kind} namespace"
        for kind in sorted(own)
        if seen.namespaces[kind] == host.namespaces[kind]
    ]
    for kind, found in seen.ids.items():
        for _, outside, count in found:
            if not any(
                first <= outside and outside + count <= first + n for _, first, n in wanted[f"{kind}_map"]
            ):
                wrong.append(
                    f"has {kind}s of the host that are not its own: {outside} to {outside + count - 1}"
                )
    return wrong


def _compare_rights(process: Mapping[str, Any], seen: Seen) -> list[str]:
    status, wanted, wrong = seen.status, process["capabilities"], []
    for name in _SETS if seen.namespaces["user"] == seen.user else ():  # who makes a namespace is all there
        if more := int(status[name], 16) & ~wanted["bounding"]:
            wrong.append(f"has more capabilities than it may have: {name} {more:#x}")
    if process["no_new_privs"] and status["NoNewPrivs"] != "1":
        wrong.append("may gain privileges")
    if process["seccomp"] and status["Seccomp"] != "2":
        wrong.append("has no seccomp filter")
    if process.get("apparmor") and seen.apparmor.partition(" (")[0].partition("//")[0] != process["apparmor"]:
        wrong.append(f"is confined by {seen.apparmor!r}, not by AppArmor profile {process['apparmor']!r}")
    return wrong


def _compare_context(wanted: str, seen: str, host: str) -> list[str]:
    """Its policy may send it on to another domain when it executes; not to ours, nor to another level."""
    if seen == wanted or (seen != host and seen.split(":")[3:] == wanted.split(":")[3:]):
        return []
    return [f"has SELinux label {seen!r}, not {wanted!r}"]


def _strangers(pid: int) -> list[str]:
    """Directories it holds that lie on a mount of the host's (CVE-2024-21626)."""
    names = os.listdir(f"/proc/{pid}/fd")
    if len(names) <= 3 and max(map(int, names), default=0) < 3:
        return []
    mounts: set[str] = set()
    found = []
    for name in names[:_DESCRIPTORS_MAX]:
        path = f"/proc/{pid}/fd/{name}"
        try:
            if not stat.S_ISDIR(os.stat(path).st_mode):
                continue
            place = _fields(_read(f"/proc/{pid}/fdinfo/{name}"))["mnt_id"].strip()
            mounts = mounts or {line.split(" ", 1)[0] for line in _read("/proc/self/mountinfo").splitlines()}
            if place in mounts:
                found.append(f"descriptor {name}, {os.readlink(path)}")
        except OSError:
            continue  # closed meanwhile
    return found


def _cgroups(text: str, hierarchies: Hierarchies) -> list[str]:
    found = []
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        ours = not hierarchies.v1.keys().isdisjoint(controllers.split(","))
        if ours if controllers else hierarchies.unified:
            found.append(path)
    return found


def _fields(text: str) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def _ids(text: str) -> list[tuple[int, int, int]]:
    rows = [[int(word) for word in line.split()] for line in text.splitlines()]
    return [(inside, outside, count) for inside, outside, count in rows]


_known_host: list[Seen] = []


def _host() -> Seen:
    """The host's namespaces, which this process is in."""
    if not _known_host:
        host = Seen()
        host.namespaces = {kind: os.stat(f"/proc/self/ns/{kind}").st_ino for kind in _NAMESPACES}
        host.selinux = labels.current_context("self")
        _known_host.append(host)
    return _known_host[0]


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts).decode(errors="replace")
    finally:
        os.close(fd)
