"""A container's root filesystem, assembled by descriptors inside its new mount namespace.

Nothing in the root is opened by a joined path: targets come from openat2 below the root's descriptor, sources
are detached mounts. Runs in the container's first process, before the command; no import may happen here.
Source: mount_setattr(2), openat2(2); runtime-spec config-linux.md.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from cri.linux import labels, mount
from cri.linux import overlay as overlayfs
from cri.linux.openat2 import (
    RESOLVE_BENEATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    openat2,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_RDONLY, _NOSUID = mount.MOUNT_ATTR_RDONLY, mount.MOUNT_ATTR_NOSUID
_NODEV, _NOEXEC = mount.MOUNT_ATTR_NODEV, mount.MOUNT_ATTR_NOEXEC
_INERT = _NOSUID | _NODEV | _NOEXEC
_SAFE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
_PROPAGATION = {"private": mount.MS_PRIVATE, "slave": mount.MS_SLAVE, "shared": mount.MS_SHARED}
_LINKS_MAX = 40

# name, major, minor: runtime-spec "Default Devices"
DEVICES = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
_DEV_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)
# files below /proc that a bind mount may cover (lxcfs and its like), as in runc
_PROC_TARGETS = frozenset(
    f"/proc/{name}"
    for name in ("cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo")
)


def overlay(
    lowers: Sequence[str],
    upper: str = "",
    work: str = "",
    user: int = -1,
    *,
    label: str = "",
    empty: str = "",
) -> int:
    """Mount layers (topmost first) as one tree, detached; read-only without upper.

    user: a user namespace whose ids the layers are shown with (Linux 6.13); upper and work are its root's.
    label: an SELinux context for all of it; empty: a directory to make two layers of one with, for a label.
    """
    if not upper and len(lowers) == 1 and label:
        lowers = (*lowers, empty)
    if not upper and len(lowers) == 1:  # overlay wants two layers then
        tree = _layer(lowers[0], user)
        mount.set_attributes(tree, set_=_RDONLY, propagation=mount.MS_PRIVATE)
        return tree
    held = (
        [_layer(lower, user) for lower in lowers] if user >= 0 else []
    )  # a detached mount lives by its descriptor
    try:
        return overlayfs.tree(held or lowers, upper, work, label)
    finally:
        for fd in held:
            os.close(fd)


def _layer(path: str, user: int) -> int:
    """A detached mount of one layer, its owners mapped where there is a user namespace."""
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    tree = mount.clone_tree(fd, recursive=False)
    os.close(fd)
    if user >= 0:
        _map_owners(tree, user, recursive=False)
    return tree


def _map_owners(tree: int, user: int, *, recursive: bool) -> None:
    try:
        mount.set_attributes(tree, set_=mount.MOUNT_ATTR_IDMAP, user_namespace=user, recursive=recursive)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise OSError(error.errno, "its filesystem cannot map owners (no idmapped mounts)") from error
        raise


def open_source(
    entry: dict[str, Any], user: int = -1, stage: str = "", *, label: str = "", empty: str = ""
) -> int:
    """Turn a mount of the Spec into a detached mount, looking at the host's tree. Raises OSError.

    user: the user namespace whose ids idmapped mounts show, -1 = none. stage: a directory to attach things at
    for a moment, in a mount namespace that no other sees; an image volume needs it before Linux 6.15.
    label: an SELinux context for what is made here; empty: as overlay()'s.
    """
    kind = entry["kind"]
    if kind == "tmpfs":
        return mount.new_filesystem("tmpfs", (*entry["options"], *_context(label)), _NOSUID | _NODEV)
    if kind == "image":
        return _image(entry, user, stage, label, empty)
    source = entry["source"]
    try:
        tree = mount.clone_tree(mount.AT_FDCWD, source)
    except FileNotFoundError:
        os.makedirs(source, 0o755)  # as every CRI runtime does for hostPath without a type
        tree = mount.clone_tree(mount.AT_FDCWD, source)
    if entry["idmapped"] and user >= 0:
        _map_owners(tree, user, recursive=True)
    if entry["readonly"]:
        mount.set_attributes(tree, set_=_RDONLY, recursive=entry["recursive_readonly"])
    mount.set_attributes(tree, propagation=_PROPAGATION[entry["propagation"]])
    return tree


def _context(label: str) -> tuple[str, ...]:
    """The mount option for an SELinux context."""
    return (f"context={label}",) if label else ()


def _image(entry: dict[str, Any], user: int, stage: str, label: str, empty: str) -> int:
    tree = overlay(entry["lowers"], user=user if entry["idmapped"] else -1, label=label, empty=empty)
    if not entry["sub_path"]:
        return tree
    fd = openat2(tree, entry["sub_path"], os.O_PATH, resolve=_SAFE)
    part = _part(tree, fd, stage)
    mount.set_attributes(part, set_=_RDONLY)
    os.close(fd)
    os.close(tree)
    return part


def _part(tree: int, place: int, stage: str) -> int:
    """A detached mount of place, which lies in the detached mount tree."""
    try:
        return mount.clone_tree(place, recursive=False)
    except OSError as error:
        if error.errno != errno.EINVAL or not stage:  # before Linux 6.15 tree has to be attached somewhere
            raise
    target = os.open(stage, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mount.attach(tree, target)
    try:
        return mount.clone_tree(place, recursive=False)
    finally:
        mount.umount(stage, mount.MNT_DETACH)
        os.close(target)


def open_target(root: int, path: str, *, is_directory: bool) -> int:
    """Open (O_PATH) the place a mount goes to, made if missing; links and races stay inside root."""
    try:
        return openat2(root, path.lstrip("/") or ".", os.O_PATH, resolve=_SAFE)
    except FileNotFoundError:
        pass
    rest = [part for part in path.split("/") if part not in ("", ".")]
    if ".." not in rest and (target := _make_last(root, rest, is_directory=is_directory)) >= 0:
        return target
    done: list[str] = []
    for _ in range(_LINKS_MAX + len(path)):
        if not rest:
            return _open_plain(root, done)
        part = rest.pop(0)
        if part == "..":
            done = done[:-1]
            continue
        try:
            fd = _open_plain(root, [*done, part])
        except FileNotFoundError:
            _make(root, done, part, is_directory or bool(rest))
            done.append(part)
            continue
        if stat.S_ISLNK(os.fstat(fd).st_mode):
            link = os.readlink("", dir_fd=fd)
            if link.startswith("/"):
                done = []
            rest = [p for p in link.split("/") if p not in ("", ".")] + rest
        else:
            done.append(part)
        os.close(fd)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _make_last(root: int, parts: list[str], *, is_directory: bool) -> int:
    """Make what is missing where only that is, and open it; -1 where it takes more steps."""
    try:
        parent = openat2(root, "/".join(parts[:-1]) or ".", os.O_PATH | os.O_DIRECTORY, resolve=_SAFE)
    except (FileNotFoundError, NotADirectoryError):
        return -1
    try:
        _make_in(parent, parts[-1], is_directory=is_directory)
        return _open_plain(parent, parts[-1:])
    except FileExistsError:  # a link that leads nowhere
        return -1
    finally:
        os.close(parent)


def _open_plain(root: int, parts: list[str]) -> int:
    flags = os.O_PATH | os.O_NOFOLLOW
    return openat2(root, "/".join(parts) or ".", flags, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)


def _make(root: int, parents: list[str], name: str, is_directory: bool) -> None:
    parent = _open_plain(root, parents)
    try:
        _make_in(parent, name, is_directory=is_directory)
    finally:
        os.close(parent)


def _make_in(parent: int, name: str, *, is_directory: bool) -> None:
    if is_directory:
        os.mkdir(name, 0o755, dir_fd=parent)
    else:
        os.mknod(name, stat.S_IFREG | 0o644, dir_fd=parent)  # neither follows a link nor replaces anything


def attach(root: int, tree: int, path: str) -> None:
    """Attach a detached mount at path inside root; the target is made to match. Raises OSError."""
    is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
    target = open_target(root, path, is_directory=is_directory)
    try:
        _check_kind(os.fstat(target), path, is_directory=is_directory)
        mount.attach(tree, target)
    finally:
        os.close(target)


def attach_bind(root: int, tree: int, path: str, proc: int) -> None:
    """attach(), for a mount of the Spec: refuses targets below /proc and the root itself.

    What is checked is what is mounted on: the path is resolved once (a volume may change under our feet).
    """
    is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
    target = open_target(root, path, is_directory=is_directory)
    try:
        found, top = os.fstat(target), os.fstat(root)
        if (found.st_dev, found.st_ino) == (top.st_dev, top.st_ino):
            raise OSError(errno.EINVAL, "would cover the whole root filesystem", path)
        if proc >= 0 and found.st_dev == os.fstat(proc).st_dev and path not in _PROC_TARGETS:
            raise OSError(errno.EPERM, "is below /proc", path)
        _check_kind(found, path, is_directory=is_directory)
        mount.attach(tree, target)
    finally:
        os.close(target)


def _check_kind(found: os.stat_result, path: str, *, is_directory: bool) -> None:
    if stat.S_ISDIR(found.st_mode) != is_directory:
        number = errno.ENOTDIR if is_directory else errno.EISDIR
        raise OSError(number, os.strerror(number), path)


def make_dev(owner: tuple[int, int], label: str = "") -> int:
    """Make a filesystem for /dev with the default nodes, all of it owner's; its detached mount."""
    dev = mount.new_filesystem("tmpfs", ("size=65536k", "mode=755", *_context(label)), _NOSUID)
    old = os.umask(0)
    for name, major, minor in DEVICES:
        os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=dev)
    os.umask(old)
    for name, target in _DEV_LINKS:
        os.symlink(target, name, dir_fd=dev)
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(name, 0o755, dir_fd=dev)
    if owner != (0, 0):
        for name in os.listdir(f"/proc/self/fd/{dev}"):
            os.chown(name, *owner, dir_fd=dev, follow_symlinks=False)
        os.chown(f"/proc/self/fd/{dev}", *owner)
    return dev


def make_pts(label: str = "") -> int:
    """Make a filesystem for the terminals of one container; its detached mount."""
    options = ("newinstance", "ptmxmode=0666", "mode=0620", "gid=5", *_context(label))
    return mount.new_filesystem("devpts", options, _NOSUID | _NOEXEC)


def attach_dev(
    root: int, dev: int, covered: frozenset[str], shm_size: int, label: str = "", pts: int = -1
) -> None:
    """Attach /dev, and on it /dev/pts, /dev/shm, /dev/mqueue.

    covered: default mount points that the Spec's own mounts replace. pts: of make_pts(), -1 = made here.
    """
    attach(root, dev, "/dev")
    if "/dev/pts" not in covered:
        mount.attach_at(pts if pts >= 0 else make_pts(label), dev, "pts")
    if "/dev/shm" not in covered:
        size = (f"size={shm_size}", "mode=1777", *_context(label))
        mount.attach_at(mount.new_filesystem("tmpfs", size, _INERT), dev, "shm")
    if "/dev/mqueue" not in covered:
        queues = mount.new_filesystem("mqueue", (), _INERT)
        with contextlib.suppress(PermissionError):  # not from within a user namespace
            labels.label_file(queues, label)  # one filesystem an IPC namespace: it takes no context twice
        mount.attach_at(queues, dev, "mqueue")


def host_nodes() -> list[tuple[str, int, int, int, int]]:
    """List the host's device nodes below /dev: (path below /dev, mode, rdev, uid, gid)."""
    found = []
    skipped = {"pts", "shm", "mqueue", "fd", ".lxc", ".lxd-mounts", ".udev", "console"}
    for directory, names, files in os.walk("/dev"):
        if directory == "/dev":
            names[:] = [n for n in names if n not in skipped]
        for name in files:
            path = f"{directory}/{name}"
            status = os.lstat(path)
            if name not in skipped and (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
                found.append((path[5:], status.st_mode, status.st_rdev, status.st_uid, status.st_gid))
    return found


def add_node(root: int, path: str, mode: int, device: int, uid: int, gid: int) -> None:
    """Make a device node at path inside root, with its parents; one that is there stays."""
    name = os.path.basename(path)
    parent = open_target(root, os.path.dirname(path) or "/", is_directory=True)
    try:
        _node(parent, name, mode, device)
        os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
    except FileExistsError:
        pass
    finally:
        os.close(parent)


def _node(directory: int, name: str, mode: int, device: int) -> None:
    old = os.umask(0)
    try:
        os.mknod(name, mode, device, dir_fd=directory)
    finally:
        os.umask(old)


def make_sys(root: int, *, writable: bool) -> None:
    """Mount /sys of the caller's network namespace."""
    attach(root, mount.new_filesystem("sysfs", (), _INERT | (0 if writable else _RDONLY)), "/sys")


def make_group_places(v1: Sequence[str]) -> int:
    """Make a filesystem with places for v1 hierarchies, named by their controllers; its detached mount."""
    top = mount.new_filesystem("tmpfs", ("mode=755", "size=64k"), _INERT)
    for name in v1:
        os.mkdir(name, 0o755, dir_fd=top)
    return top


def make_cgroup(root: int, v1: Sequence[str], *, pure_v2: bool, writable: bool, places: int = -1) -> None:
    """Mount /sys/fs/cgroup as the caller's cgroup namespace shows it.

    v1: the controllers of each hierarchy; places: of make_group_places(v1), -1 = made here.
    """
    attributes = _INERT | (0 if writable else _RDONLY)
    if pure_v2:
        attach(root, mount.new_filesystem("cgroup2", (), attributes), "/sys/fs/cgroup")
        return
    top = places if places >= 0 else make_group_places(v1)
    attach(root, top, "/sys/fs/cgroup")
    for name in v1:
        mount.attach_at(mount.new_filesystem("cgroup", tuple(name.split(",")), attributes), top, name)
    mount.set_attributes(top, set_=_RDONLY, recursive=False)


def mask(root: int, null: int, paths: Sequence[str], label: str = "") -> None:
    """Hide paths: directories under an empty read-only tmpfs, files under a null device of our own.

    A path that is not there is skipped; any other failure is one (a hidden link must not open a hole).
    """
    empty = -1
    for path in paths:
        target = _open_existing(root, path)
        if target < 0:
            continue
        if not stat.S_ISDIR(os.fstat(target).st_mode):
            tree = mount.clone_tree(null, recursive=False)
        elif empty >= 0:
            tree = mount.clone_tree(empty, recursive=False)
        else:
            options = ("size=0", "nr_inodes=2", *_context(label))
            tree = empty = mount.new_filesystem("tmpfs", options, _INERT | _RDONLY)
        mount.attach(tree, target)
        if tree != empty:
            os.close(tree)
        os.close(target)
    if empty >= 0:
        os.close(empty)


def make_readonly(root: int, paths: Sequence[str]) -> None:
    """Make paths read-only with what is mounted below them; missing ones are skipped."""
    for path in paths:
        target = _open_existing(root, path)
        if target < 0:
            continue
        tree = mount.clone_tree(target)
        mount.set_attributes(tree, set_=_RDONLY)
        mount.attach(tree, target)
        os.close(tree)
        os.close(target)


def _open_existing(root: int, path: str) -> int:
    links = RESOLVE_NO_SYMLINKS if path.startswith(("/proc/", "/sys/")) else 0
    try:
        return openat2(root, path.lstrip("/"), os.O_PATH, resolve=_SAFE | links)
    except (FileNotFoundError, NotADirectoryError):
        return -1


def enter(root: int) -> None:
    """Make root the root of the mount namespace and let go of the host's tree."""
    os.fchdir(root)
    mount.pivot_root(".", ".")
    mount.umount(".", mount.MNT_DETACH)
    os.chdir("/")
