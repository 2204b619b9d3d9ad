"""Overlay filesystems as detached mounts: layers one by one where the kernel can, else in one page.

Source: Documentation/filesystems/overlayfs.rst; fs/overlayfs/params.c ("lowerdir+" since Linux 6.7, by
descriptor since 6.13).
"""

from __future__ import annotations

import errno
import os

from cri.linux import mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_FIRST_WITH_PARAMETERS = (
    6,
    5,
)  # before, an unknown option is found, and written to the kernel's log, at the end

_one_by_one: list[bool] = []  # what the kernel was found to do, once a process


def takes_layers_one_by_one() -> bool:
    """Tell whether each layer can be an option of its own; asked once a process and its children."""
    if not _one_by_one:
        _one_by_one.append(_release() >= _FIRST_WITH_PARAMETERS and _try_one())
    return _one_by_one[0]


def tree(lowers: Sequence[str | int], upper: str = "", work: str = "", context: str = "") -> int:
    """Mount layers (topmost first) as one tree; its detached mount, read-only without upper.

    lowers: paths, or descriptors of detached mounts (Linux 6.13). context: an SELinux label for all of it.
    Where layers cannot be given one by one: paths only, and in a mount namespace of the caller's own, as the
    mount is attached over its work directory for a moment. Raises OSError.
    """
    if not takes_layers_one_by_one():
        return _by_names(
            [os.fspath(lower) for lower in lowers if isinstance(lower, str)], upper, work, context
        )
    options = mount.fsopen("overlay")
    try:
        for lower in lowers:
            if isinstance(lower, int):
                mount.fsconfig_fd(options, "lowerdir+", lower)
            else:
                mount.fsconfig_string(options, "lowerdir+", lower)
        if upper:
            mount.fsconfig_string(options, "upperdir", upper)
            mount.fsconfig_string(options, "workdir", work)
        if context:
            mount.fsconfig_string(options, "context", context)
        mount.fsconfig_create(options)
        return mount.fsmount(options, 0 if upper else mount.MOUNT_ATTR_RDONLY)
    finally:
        os.close(options)


def _release() -> tuple[int, ...]:
    words = os.uname().release.split("-")[0].split(".")
    return tuple(int(word) for word in words[:2] if word.isdigit())


def _try_one() -> bool:
    options = mount.fsopen("overlay")
    try:
        mount.fsconfig_string(options, "lowerdir+", "/")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    finally:
        os.close(options)
    return True


def _by_names(lowers: Sequence[str], upper: str, work: str, context: str) -> int:
    """All layers in one page of options: by links of short names, of which a thousand fit."""
    links = mount.new_filesystem("tmpfs", ("size=1m",))
    for number, lower in enumerate(lowers):
        os.symlink(lower, str(number), dir_fd=links)
    options = [f"lowerdir={':'.join(map(str, range(len(lowers))))}"]
    if upper:
        os.symlink(upper, "upper", dir_fd=links)
        os.symlink(work, "work", dir_fd=links)
        options += ["upperdir=upper", "workdir=work"]
    if context:
        options.append(f'context="{context}"')
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    place = work or lowers[0]
    try:
        os.fchdir(links)
        mount.mount("overlay", place, "overlay", 0 if upper else mount.MS_RDONLY, ",".join(options))
        top = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        made = mount.clone_tree(top, recursive=False)
        os.close(top)
        mount.umount(place, mount.MNT_DETACH)
        return made
    finally:
        os.fchdir(here)
        os.close(here)
        os.close(links)
