"""What SELinux the host has: whether a policy runs, what it says of a context, its contexts for containers.

Source: security/selinux/selinuxfs.c (context); selinux_config(5); go-selinux's files of containers' contexts.
"""

from __future__ import annotations

import functools
import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTEXT = "/sys/fs/selinux/context"
_MODULES = "/sys/kernel/security/lsm"
_CONFIG = "/etc/selinux/config"
_OWN = "/usr/share/containers/selinux/contexts"
_ENTRY = re.compile(r'^\s*(\w+)\s*=\s*"?([^"\s]+)"?\s*$', re.MULTILINE)


@functools.cache
def is_enabled() -> bool:
    """Tell whether the kernel has a policy, to enforce or to log. Before one is loaded all are "kernel"."""
    if not os.path.exists(_CONTEXT) and "selinux" not in _read(_MODULES).split(","):
        return False
    return ":" in _read("/proc/self/attr/current")


def canonical(context: str) -> str:
    """Return a context as the kernel writes it. Raises OSError EINVAL for one that the policy has not."""
    try:
        fd = os.open(_CONTEXT, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # selinuxfs is not mounted here: the kernel will say so when it is set
        return context
    try:
        os.write(fd, context.encode())
        return os.read(fd, 4096).rstrip(b"\0").decode()
    finally:
        os.close(fd)


@functools.cache
def contexts() -> Mapping[str, str]:
    """Return the policy's contexts for containers (keys process, file, ...); none if it has no such file."""
    policy = entries(_read(_CONFIG)).get("SELINUXTYPE", "targeted")
    return entries(_read(_OWN) or _read(f"/etc/selinux/{policy}/contexts/lxc_contexts"))


def entries(text: str) -> Mapping[str, str]:
    """Read lines of name = value, with or without quotes. Pure."""
    return dict(_ENTRY.findall(text))


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().rstrip("\0\n")
    except OSError:
        return ""
