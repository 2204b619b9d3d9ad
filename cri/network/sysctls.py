"""Which sysctls a sandbox may set, and in which namespace they live. Pure.

A sysctl is written only if it belongs to a namespace the sandbox has of its own: everything
else would change the host. Source: ipc_namespaces(7), network_namespaces(7), uts_namespaces(7).
"""

import re
from collections.abc import Mapping

_IPC = ("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax")
_IPC_MORE = ("kernel.shmmni", "kernel.shm_rmid_forced", "kernel.msg_next_id", "kernel.sem_next_id")
_UTS = ("kernel.domainname", "kernel.hostname")
_NAME = re.compile(r"[A-Za-z0-9_-]+([./][A-Za-z0-9_-]+)*")
_VALUE_BYTES = 4096


class InvalidSysctl(ValueError):
    """A sysctl may not be set by this sandbox."""


def paths(sysctls: Mapping[str, str], *, own_network: bool, own_ipc: bool) -> dict[str, str]:
    """Return path below /proc/sys to value, for sysctls of namespaces the sandbox owns.

    Raises InvalidSysctl for a name of no namespace, or of one shared with the host.
    """
    return {_path(name, own_network, own_ipc): _value(name, value) for name, value in sysctls.items()}


def _path(name: str, own_network: bool, own_ipc: bool) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidSysctl(f"cannot set sysctl {name!r}: not a sysctl name")
    # As sysctl(8): the separator is what comes first, and the other sign is then part of a name.
    path = name if "/" in name.partition(".")[0] else name.translate(str.maketrans("./", "/."))
    dotted = path.replace("/", ".")
    if dotted.startswith("net.") and own_network:
        return path
    if (dotted in _IPC + _IPC_MORE or dotted.startswith("fs.mqueue.")) and own_ipc:
        return path
    if dotted in _UTS:
        raise InvalidSysctl(f"cannot set sysctl {name!r}: the hostname is set by the sandbox's hostname")
    raise InvalidSysctl(f"cannot set sysctl {name!r}: not in a namespace of the sandbox's own")


def _value(name: str, value: str) -> str:
    if "\x00" in value or "\n" in value or len(value) > _VALUE_BYTES:
        raise InvalidSysctl(f"cannot set sysctl {name!r}: value not on one line")
    return value
