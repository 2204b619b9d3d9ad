"""Mounts, by path and by descriptor: mount(2), umount2(2), pivot_root(2), fsopen(2) and its family.

Every descriptor returned is close-on-exec and the caller's. Paths are bytes-like or str; "" with a descriptor
means the descriptor itself. Source: include/uapi/linux/mount.h.
"""

from __future__ import annotations

import ctypes
import os
import struct

from cri.linux.libc import check, function, lib, syscall

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOATIME, MS_NODIRATIME, MS_RELATIME = 1 << 10, 1 << 11, 1 << 21
MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE, MS_SHARED = 0x1000, 0x4000, 1 << 18, 1 << 19, 1 << 20
MNT_DETACH = 2

MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8
MOUNT_ATTR_IDMAP = 0x100000

_OPEN_TREE_CLONE = 1
_AT_RECURSIVE = 0x8000
_AT_EMPTY_PATH = 0x1000
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOVE_MOUNT_T_EMPTY_PATH = 0x40
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_SET_FD, _FSCONFIG_CMD_CREATE = 0, 1, 5, 6
AT_FDCWD = -100

_int, _text = ctypes.c_int, ctypes.c_char_p
_fsopen = function("fsopen", _text, _int)
_fsconfig = function("fsconfig", _int, _int, _text, _text, _int)
_fsmount = function("fsmount", _int, _int, _int)
_open_tree = function("open_tree", _int, _text, _int)
_move_mount = function("move_mount", _int, _text, _int, _text, _int)
_mount_setattr = function("mount_setattr", _int, _text, _int, _text, ctypes.c_size_t)


def mount(
    source: str | None, target: str, fstype: str | None, flags: int = 0, data: str | None = None
) -> None:
    """Attach a filesystem at a path, or change a mount. data: at most 4095 bytes. Source: mount(2)."""
    encode = os.fsencode
    check(
        lib.mount(
            None if source is None else encode(source),
            encode(target),
            None if fstype is None else encode(fstype),
            ctypes.c_ulong(flags),
            None if data is None else encode(data),
        ),
        f"mount {target}",
    )


def umount(target: str, flags: int = 0) -> None:
    """Detach what is mounted at target. Source: umount2(2)."""
    check(lib.umount2(os.fsencode(target), ctypes.c_int(flags)), f"umount {target}")


def pivot_root(new_root: str, put_old: str) -> None:
    """Make new_root the root of the calling process's mount namespace. Source: pivot_root(2)."""
    syscall("pivot_root", os.fsencode(new_root), os.fsencode(put_old))


def fsopen(fstype: str) -> int:
    """Open a configuration of a new filesystem. Source: fsopen(2)."""
    return _fsopen(fstype.encode(), 1)


def fsconfig_string(fd: int, key: str, value: str | bytes) -> None:
    """Set an option that has a value."""
    _fsconfig(fd, _FSCONFIG_SET_STRING, key.encode(), os.fsencode(value), 0)


def fsconfig_flag(fd: int, key: str) -> None:
    """Set an option without a value."""
    _fsconfig(fd, _FSCONFIG_SET_FLAG, key.encode(), None, 0)


def fsconfig_fd(fd: int, key: str, value: int) -> None:
    """Set an option to an open file (overlay's layers: Linux 6.13)."""
    _fsconfig(fd, _FSCONFIG_SET_FD, key.encode(), None, value)


def fsconfig_create(fd: int) -> None:
    """Make the filesystem that was configured."""
    _fsconfig(fd, _FSCONFIG_CMD_CREATE, None, None, 0)


def fsmount(fd: int, attributes: int = 0) -> int:
    """Make a detached mount of the filesystem; attributes: MOUNT_ATTR_*."""
    return _fsmount(fd, 1, attributes)


def new_filesystem(fstype: str, options: tuple[str, ...] = (), attributes: int = 0) -> int:
    """Make a filesystem with "name" and "name=value" options; its detached mount."""
    context = fsopen(fstype)
    try:
        for option in options:
            name, has_value, value = option.partition("=")
            if has_value:
                fsconfig_string(context, name, value)
            else:
                fsconfig_flag(context, name)
        fsconfig_create(context)
        return fsmount(context, attributes)
    except OSError as error:
        raise OSError(error.errno, f"cannot mount {fstype}: {error.strerror}") from error
    finally:
        os.close(context)


def clone_tree(dir_fd: int, path: str = "", *, recursive: bool = True) -> int:
    """Make a detached bind mount of path below dir_fd (or of dir_fd itself). Source: open_tree(2)."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC
    if recursive:
        flags |= _AT_RECURSIVE
    if not path:
        flags |= _AT_EMPTY_PATH
    return _open_tree(dir_fd, os.fsencode(path), flags)


def attach(mount_fd: int, target_fd: int) -> None:
    """Attach a detached mount on an open (O_PATH) file or directory. Source: move_mount(2)."""
    _move_mount(mount_fd, b"", target_fd, b"", _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH)


def attach_at(mount_fd: int, dir_fd: int, name: str) -> None:
    """Attach a detached mount on an entry of a directory that nobody else can change; follows no link."""
    _move_mount(mount_fd, b"", dir_fd, os.fsencode(name), _MOVE_MOUNT_F_EMPTY_PATH)


def set_attributes(
    mount_fd: int,
    *,
    set_: int = 0,
    clear: int = 0,
    propagation: int = 0,
    recursive: bool = True,
    user_namespace: int = 0,
) -> None:
    """Change attributes (MOUNT_ATTR_*) and propagation (MS_PRIVATE, ...) of a mount. mount_setattr(2).

    user_namespace: with MOUNT_ATTR_IDMAP, a descriptor of the namespace whose mapping is shown.
    """
    block = struct.pack("=QQQQ", set_, clear, propagation, user_namespace)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    _mount_setattr(mount_fd, b"", flags, block, len(block))
