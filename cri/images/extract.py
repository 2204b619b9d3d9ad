"""Write the members of a layer below one directory, by descriptors only, as overlayfs wants them.

Hostile layers are refused: `..`, absolute names, ancestors that are symbolic links, hard links to what the
layer does not hold. Device nodes are left out: a container's /dev is the runtime's, and a 0:0 node would be
a whiteout. Extended attributes other than capabilities and `user.*` are left out too: in an image,
`trusted.overlay.redirect` would be an order to the kernel.

Standard library only: `unpack_child.py` runs this in a root of its own. Source: OCI image-spec layer.md
(whiteouts), Documentation/filesystems/overlayfs.rst (char 0:0, trusted.overlay.opaque).
"""

import contextlib
import dataclasses
import errno
import os
import shutil
import stat
from collections.abc import Sequence

from cri.images import tar

_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
_RESERVED = b".wh..wh."  # aufs metadata, meaningless to overlayfs
_BLOCK_BYTES = 4096  # what the common filesystems allocate at least
_DESCRIPTORS_MAX = 200
_DEPTH_MAX = 256
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Path = tuple[bytes, ...]


class UnsafeError(Exception):
    """The layer asks for something that no honest layer needs, or is larger than allowed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    entries: int
    bytes: int


@dataclasses.dataclass(slots=True)
class Totals:
    """entries, bytes: as the archive claims. disk_bytes, inodes: what the tree takes, by whole blocks."""

    entries: int = 0
    bytes: int = 0
    disk_bytes: int = _BLOCK_BYTES  # the root directory
    inodes: int = 1


class Extractor:
    """Writes one layer into the directory root_fd. Not thread-safe; the process umask must be 0.

    lowers: descriptors of the unpacked parent layers, topmost first; directories that the layer implies but
        does not list take owner and mode from there.
    """

    def __init__(self, root_fd: int, limits: Limits, lowers: Sequence[int] = ()) -> None:
        self._directories: dict[Path, int] = {(): root_fd}
        self._limits = limits
        self._lowers = lowers
        self._times: dict[Path, int] = {}
        self._whiteouts: set[Path] = set()
        self.totals = Totals()
        self._ids = (os.geteuid(), os.getegid())

    def run(self, reader: tar.Reader) -> Totals:
        """Write all members. Raises UnsafeError, tar.TarError, OSError."""
        for member in reader:
            self._count(member)
            self._write(member, reader)
        self._set_times()
        return self.totals

    def _count(self, member: tar.Member) -> None:
        self.totals.entries += 1
        self.totals.bytes += max(member.size, member.full_size)
        if self.totals.entries > self._limits.entries:
            raise UnsafeError(f"layer has more than {self._limits.entries} entries")
        if self.totals.bytes > self._limits.bytes:
            raise UnsafeError(f"layer is larger than {self._limits.bytes} bytes")

    def _write(self, member: tar.Member, reader: tar.Reader) -> None:
        path = split(member.name)
        if not path:
            if member.kind is not tar.Kind.DIRECTORY:
                raise UnsafeError(f"{member.kind.value} in place of the root directory")
            self._set_owner_and_mode(self._directories[()], member)
            return
        if path[-1].startswith(_WHITEOUT):
            self._whiteout(path)
            return
        parent = self._directory(path[:-1])
        match member.kind:
            case tar.Kind.FILE:
                self._file(parent, path, member, reader)
            case tar.Kind.DIRECTORY:
                self._make_directory(parent, path, member)
            case tar.Kind.SYMLINK:
                self._clear(parent, path)
                os.symlink(member.link, path[-1], dir_fd=parent)
                self.totals.inodes += 1
                self._set_link_owner(parent, path[-1], member)
            case tar.Kind.HARDLINK:
                self._hardlink(path, split(member.link))
            case tar.Kind.FIFO:
                self._clear(parent, path)
                os.mkfifo(path[-1], member.mode, dir_fd=parent)
                self.totals.inodes += 1
                self._set_link_owner(parent, path[-1], member)
            case tar.Kind.DEVICE:
                pass

    def _file(self, parent: int, path: Path, member: tar.Member, reader: tar.Reader) -> None:
        try:
            fd = os.open(path[-1], _CREATE, 0o600, dir_fd=parent)
        except FileExistsError:
            self._clear(parent, path)
            fd = os.open(path[-1], _CREATE, 0o600, dir_fd=parent)
        self.totals.inodes += 1
        self.totals.disk_bytes += -(-member.size // _BLOCK_BYTES) * _BLOCK_BYTES
        try:
            if member.sparse is None:
                for data in reader.content():
                    _write_all(fd, data)
            else:
                _write_sparse(fd, member, member.sparse, reader)
            self._set_owner_and_mode(fd, member)
            os.utime(fd, ns=(member.mtime_ns, member.mtime_ns))
        finally:
            os.close(fd)

    def _make_directory(self, parent: int, path: Path, member: tar.Member) -> None:
        replaced_whiteout = path in self._whiteouts
        try:
            self._mkdir(parent, path[-1], 0o700)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(path[-1], dir_fd=parent).st_mode):
                self._clear(parent, path)
                self._mkdir(parent, path[-1], 0o700)
        fd = self._directory(path)
        self._set_owner_and_mode(fd, member)
        if replaced_whiteout:
            _set_opaque(fd)  # removed and made anew in one layer: nothing from below shows
        self._times[path] = member.mtime_ns

    def _mkdir(self, parent: int, name: bytes, mode: int) -> None:
        os.mkdir(name, mode, dir_fd=parent)
        self.totals.inodes += 1
        self.totals.disk_bytes += _BLOCK_BYTES

    def _hardlink(self, path: Path, target: Path) -> None:
        if not target or path == target:
            raise UnsafeError(f"hard link {_show(path)} to {_show(target)}")
        source = os.dup(self._directory(target[:-1], make=False))  # opening the other may close this one
        parent = self._directory(path[:-1])
        try:
            if stat.S_ISDIR(os.lstat(target[-1], dir_fd=source).st_mode):
                raise UnsafeError(f"hard link {_show(path)} to a directory")
            self._clear(parent, path)
            os.link(target[-1], path[-1], src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError as err:
            raise UnsafeError(f"hard link {_show(path)} to {_show(target)}, which the layer lacks") from err
        finally:
            os.close(source)

    def _whiteout(self, path: Path) -> None:
        name = path[-1][len(_WHITEOUT) :]
        if path[-1] == _OPAQUE:
            _set_opaque(self._directory(path[:-1]))
        elif path[-1].startswith(_RESERVED):
            return
        elif name in (b"", b".", b".."):
            raise UnsafeError(f"whiteout of {name!r}")
        else:
            self._cover((*path[:-1], name))

    def _cover(self, path: Path) -> None:
        """Hide what parents hold at path; what this layer holds there stays. Source: layer.md, Whiteouts."""
        parent = self._directory(path[:-1])
        try:
            os.mknod(path[-1], stat.S_IFCHR, 0, dir_fd=parent)
            self.totals.inodes += 1
            self._whiteouts.add(path)
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(path[-1], dir_fd=parent).st_mode):
                _set_opaque(self._directory(path))

    def _directory(self, path: Path, *, make: bool = True) -> int:
        """Open the directory at path component by component; a symbolic link on the way is refused."""
        fd = self._directories.get(path)
        if fd is not None:
            return fd
        if len(path) > _DEPTH_MAX:
            raise UnsafeError(f"more than {_DEPTH_MAX} levels of directories")
        parent = self._directory(path[:-1], make=make)
        try:
            fd = os.open(path[-1], _OPEN_DIRECTORY, dir_fd=parent)
        except FileNotFoundError:
            if not make:
                raise UnsafeError(f"hard link into {_show(path)}, which the layer lacks") from None
            fd = self._imply(parent, path)
        except OSError as err:
            fd = self._replace_whiteout(parent, path, err)
        self._remember(path, fd)
        return fd

    def _imply(self, parent: int, path: Path) -> int:
        self._mkdir(parent, path[-1], 0o755)
        fd = os.open(path[-1], _OPEN_DIRECTORY, dir_fd=parent)
        below = self._look_below(path)
        if below is not None:
            if (below.st_uid, below.st_gid) != self._ids:
                os.fchown(fd, below.st_uid, below.st_gid)
            os.fchmod(fd, stat.S_IMODE(below.st_mode))
            self._times[path] = below.st_mtime_ns
        return fd

    def _replace_whiteout(self, parent: int, path: Path, err: OSError) -> int:
        if path not in self._whiteouts:
            raise UnsafeError(f"{_show(path)} is not a directory, yet has members") from err
        self._clear(parent, path)
        fd = self._imply(parent, path)
        _set_opaque(fd)
        return fd

    def _look_below(self, path: Path) -> os.stat_result | None:
        for lower in self._lowers:
            with contextlib.ExitStack() as opened:
                fd = lower
                try:
                    for name in path:
                        fd = os.open(name, _OPEN_DIRECTORY, dir_fd=fd)
                        opened.callback(os.close, fd)
                except OSError:
                    continue
                return os.fstat(fd)
        return None

    def _remember(self, path: Path, fd: int) -> None:
        """Keep a directory open; when too many are, close those that are not ancestors of this one."""
        if len(self._directories) >= _DESCRIPTORS_MAX:
            for other in [kept for kept in self._directories if kept != path[: len(kept)]]:
                os.close(self._directories.pop(other))
        self._directories[path] = fd

    def _forget(self, path: Path) -> None:
        for other in [kept for kept in self._directories if kept[: len(path)] == path]:
            os.close(self._directories.pop(other))
        for gone in [kept for kept in self._times if kept[: len(path)] == path]:
            del self._times[gone]

    def _clear(self, parent: int, path: Path) -> None:
        """Remove what an earlier member of this layer put at path."""
        try:
            status = os.lstat(path[-1], dir_fd=parent)
        except FileNotFoundError:
            return
        self._whiteouts.discard(path)
        if stat.S_ISDIR(status.st_mode):
            self._forget(path)
            self._uncount_below(path[-1], parent)
            shutil.rmtree(path[-1], dir_fd=parent)
        else:
            os.unlink(path[-1], dir_fd=parent)
            self._uncount(status)

    def _uncount_below(self, name: bytes, parent: int) -> None:
        for _, directories, files, fd in os.fwalk(name, dir_fd=parent):
            self._uncount(os.fstat(fd))
            links = [entry for entry in directories if stat.S_ISLNK(os.lstat(entry, dir_fd=fd).st_mode)]
            for entry in (*files, *links):
                self._uncount(os.lstat(entry, dir_fd=fd))

    def _uncount(self, status: os.stat_result) -> None:
        """Take back what an inode counted for; one with further links stays counted."""
        if stat.S_ISDIR(status.st_mode):
            self.totals.inodes -= 1
            self.totals.disk_bytes -= _BLOCK_BYTES
        elif status.st_nlink == 1:
            self.totals.inodes -= 1
            if stat.S_ISREG(status.st_mode):
                self.totals.disk_bytes -= -(-status.st_size // _BLOCK_BYTES) * _BLOCK_BYTES

    def _set_owner_and_mode(self, fd: int, member: tar.Member) -> None:
        """Owner first: chown(2) drops set-id bits and capabilities."""
        if (member.uid, member.gid) != self._ids:
            os.fchown(fd, member.uid, member.gid)
        os.fchmod(fd, member.mode)
        for name, value in member.xattrs:
            if name == "security.capability":
                os.setxattr(fd, name, value)
            elif name.startswith("user.") and not name.startswith("user.overlay."):
                _set_user_attribute(fd, name, value)

    def _set_link_owner(self, parent: int, name: bytes, member: tar.Member) -> None:
        if (member.uid, member.gid) != self._ids:
            os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(member.mtime_ns, member.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _set_times(self) -> None:
        """Set directories' times last, as writing into them changed them."""
        for path, mtime_ns in self._times.items():
            os.utime(self._directory(path, make=False), ns=(mtime_ns, mtime_ns))


def split(name: bytes) -> Path:
    """Split a member's name into components; `.` and empty ones vanish. Raises UnsafeError."""
    path = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if name.startswith(b"/") and path:
        raise UnsafeError(f"absolute name {name!r}")
    if b".." in path:
        raise UnsafeError(f"name {name!r} leads out of the layer")
    return path


def _set_opaque(fd: int) -> None:
    os.setxattr(fd, "trusted.overlay.opaque", b"y")


def _set_user_attribute(fd: int, name: str, value: bytes) -> None:
    try:
        os.setxattr(fd, name, value)
    except OSError as err:
        if err.errno != errno.ENOTSUP:  # a filesystem without them: the image works all the same
            raise


def _write_sparse(
    fd: int, member: tar.Member, regions: Sequence[tuple[int, int]], reader: tar.Reader
) -> None:
    """Write the pieces of a sparse file where they belong; what lies between stays a hole."""
    todo = iter(regions)
    left = 0
    for data in reader.content():
        view = memoryview(data)
        while view:
            while not left:
                offset, left = next(todo)
                os.lseek(fd, offset, os.SEEK_SET)
            written = os.write(fd, view[:left])
            view, left = view[written:], left - written
    os.ftruncate(fd, member.full_size)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _show(path: Path) -> str:
    return os.fsdecode(b"/".join(path))
