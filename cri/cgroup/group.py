"""One cgroup in every hierarchy of the host: made, limited, joined, killed, removed by bare system calls.

Used by the supervisor (which must stay small) and by the CRI server. Blocking, microseconds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal

from cri.cgroup import limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cri.cgroup.hierarchy import Hierarchies


class Group:
    """The cgroup named path (such as nanokube/pods/podU/C) relative to each hierarchy's root."""

    __slots__ = ("hierarchies", "path")

    def __init__(self, hierarchies: Hierarchies, path: str) -> None:
        parts = path.strip("/").split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"cannot use cgroup path {path!r}: not a plain relative path")
        self.hierarchies = hierarchies
        self.path = "/".join(parts)

    def directory(self, controller: str) -> str:
        """Where a controller's files of this group are, "" if the host lacks the controller."""
        if point := self.hierarchies.v1.get(controller):
            return f"{point}/{self.path}"
        if controller in self.hierarchies.v2:
            return f"{self.hierarchies.unified}/{self.path}"
        return ""

    @property
    def unified(self) -> str:
        """Directory in the v2 tree, "" without one."""
        return f"{self.hierarchies.unified}/{self.path}" if self.hierarchies.unified else ""

    def v1_directories(self) -> list[str]:
        """Directories in the v1 hierarchies."""
        return [f"{point}/{self.path}" for point in self.hierarchies.v1_points()]

    def exists(self) -> bool:
        """Say whether any of its directories is there."""
        return any(os.path.isdir(d) for d in [*self.v1_directories(), self.unified] if d)

    def create(self) -> None:
        """Make the group and its missing parents; no error if it is there."""
        cpuset = self.hierarchies.v1.get("cpuset", "")
        for point in self.hierarchies.v1_points():
            _make(point, self.path, is_cpuset=point == cpuset)
        if self.hierarchies.unified:
            self._make_unified()

    def limit(self, resources: Mapping[str, Any]) -> None:
        """Write limits; resources as in cri.bundle.spec.Resources. Raises OSError with the file."""
        todo = limits.settings(resources, self.hierarchies)
        if "hugetlb" in self.hierarchies.v2 and any(controller == "hugetlb" for controller, _, _ in todo):
            self._delegate_to(["hugetlb"])  # seldom wanted: groups do without it until then
        retry = []
        for setting in todo:
            try:
                self._set(setting)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EBUSY):
                    raise
                retry.append(setting)  # v1 memory and memsw limits must stay ordered: the other goes first
        for setting in reversed(retry):
            self._set(setting)

    def join(self) -> None:
        """Move the caller, which must have one thread, into the v1 groups; into the v2 group it was born.

        By `tasks`: a lone thread that moves itself is spared the grace period that `cgroup.procs` waits for
        (0.2 ms, not 10). Source: kernel/cgroup/cgroup.c, cgroup_procs_write_start().
        """
        for directory in self.v1_directories():
            write(f"{directory}/tasks", "0")

    def processes(self) -> list[int]:
        """Ids of the processes in it and in the groups below (as seen from the caller's PID namespace)."""
        top = self.unified or next(iter(self.v1_directories()), "")
        found: list[int] = []
        for directory, _, _ in os.walk(top):
            found += [int(word) for word in read(f"{directory}/cgroup.procs").split()]
        return found

    def kill(self) -> None:
        """Send SIGKILL to every process in it and below; no error if it is gone."""
        if self.unified:
            try:
                write(f"{self.unified}/cgroup.kill", "1")
                return
            except FileNotFoundError:
                if not os.path.isdir(self.unified):
                    return
        for _ in range(10):  # older kernels: until no process forks any more
            found = self.processes()
            if not found:
                return
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    def freeze(self, frozen: bool) -> None:
        """Stop or continue all its processes (v2 tree)."""
        write(f"{self.unified}/cgroup.freeze", "1" if frozen else "0")

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed for lack of memory."""
        if directory := self.directory("memory"):
            name = "memory.oom_control" if "memory" in self.hierarchies.v1 else "memory.events"
            for line in read(f"{directory}/{name}").splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
        return 0

    def remove(self) -> bool:
        """Remove it where it is empty; True when nothing is left. Groups below are removed first."""
        done = True
        for directory in [*self.v1_directories(), self.unified]:
            if directory:
                done = _remove_tree(directory) and done
        return done

    def _make_unified(self) -> None:
        target = self.hierarchies.unified
        wanted: list[str] = [c for c in ("cpu", "cpuset", "memory", "pids", "io") if c in self.hierarchies.v2]
        for part in self.path.split("/") if wanted else ():
            _delegate(target, wanted)
            target = f"{target}/{part}"
            with contextlib.suppress(FileExistsError):
                os.mkdir(target, 0o755)
        _make(self.hierarchies.unified, self.path)

    def _delegate_to(self, controllers: list[str]) -> None:
        """Give the v2 group controllers that its parents have not passed on yet."""
        target = self.hierarchies.unified
        for part in self.path.split("/"):
            _delegate(target, controllers)
            target = f"{target}/{part}"

    def _set(self, setting: limits.Setting) -> None:
        controller, name, value = setting
        directory = self.directory(controller)
        if not directory:
            return
        try:
            write(f"{directory}/{name}", value)
        except FileNotFoundError:
            if "swap" not in name and "memsw" not in name:  # kernels without swap accounting lack these
                raise


def read(path: str) -> str:
    """The content of a cgroup file, "" if it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts).decode()
    except OSError as error:
        if error.errno == errno.ENODEV:  # removed while open
            return ""
        raise
    finally:
        os.close(fd)


def write(path: str, *values: str) -> None:
    """Write values to a cgroup file, one a call. Raises OSError with the path."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for value in values:
            os.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(fd)


def _make(point: str, path: str, *, is_cpuset: bool = False) -> None:
    """Make the directory path below point; its parents are there most times, so they come second."""
    parent = path.rpartition("/")[0]
    try:
        os.mkdir(f"{point}/{path}", 0o755)
    except FileExistsError:
        return
    except FileNotFoundError:
        if not parent:
            raise
        _make(point, parent, is_cpuset=is_cpuset)
        _make(point, path, is_cpuset=is_cpuset)
        return
    if is_cpuset:  # a v1 cpuset starts empty and refuses processes until both are set
        for name in ("cpuset.cpus", "cpuset.mems"):
            write(f"{point}/{path}/{name}", read(f"{point}/{parent}/{name}").strip())


def _delegate(directory: str, controllers: list[str]) -> None:
    enabled = read(f"{directory}/cgroup.subtree_control").split()
    if missing := [f"+{c}" for c in controllers if c not in enabled]:
        write(f"{directory}/cgroup.subtree_control", " ".join(missing))


def _remove_tree(directory: str) -> bool:
    try:
        os.rmdir(directory)
        return True
    except FileNotFoundError:
        return True
    except OSError:
        try:
            below = [entry.path for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return True
    if not below or not all([_remove_tree(path) for path in below]):
        return False
    try:
        os.rmdir(directory)
        return True
    except OSError:
        return False
