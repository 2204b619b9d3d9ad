"""The user namespace a sandbox asks for: what is refused, its mappings, and whether this kernel can."""

import functools
import os
import tempfile
from collections.abc import Iterable

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.bundle.spec import IdMap
from cri.linux import mount
from cri.store import records

_ID_MAX = (1 << 32) - 1  # the last one stands for "no id". Source: user_namespaces(7)


def check(config: pb.PodSandboxConfig) -> None:
    """Refuse what cannot be honoured. Raises RuntimeFault INVALID_ARGUMENT.

    As elsewhere in CRI, the kubelet chooses the range: one for users, one for groups, from id 0.
    """
    options = records.namespace_options(config)
    if not options.HasField("userns_options"):
        return
    wanted = options.userns_options
    if wanted.mode == pb.NODE:
        if any(not _is_identity(entry) for entry in (*wanted.uids, *wanted.gids)):
            raise faults.invalid("cannot run sandbox: mappings of ids without a user namespace")
        return
    if wanted.mode != pb.POD:
        raise faults.invalid("cannot run sandbox: a user namespace is either the pod's or the node's")
    for kind, entries in (("user", wanted.uids), ("group", wanted.gids)):
        _check_mapping(kind, entries)
    if pb.NODE in (options.network, options.pid, options.ipc):
        raise faults.invalid("cannot run sandbox: a user namespace excludes the node's network, pid and ipc")
    if not is_supported():
        raise faults.invalid(
            "cannot run sandbox: user namespaces need Linux 6.13 (idmapped layers by descriptor)"
        )


def maps(config: pb.PodSandboxConfig) -> tuple[IdMap, IdMap]:
    """Return the sandbox's mappings of users and groups, empty for the node's ids. Pure."""
    options = records.namespace_options(config)
    if not options.HasField("userns_options") or options.userns_options.mode != pb.POD:
        return (), ()
    wanted = options.userns_options
    return _map(wanted.uids), _map(wanted.gids)


def owner(config: pb.PodSandboxConfig) -> tuple[int, int]:
    """Return the host's user and group of the sandbox's root. Pure."""
    uids, gids = maps(config)
    return (uids[0][1] if uids else 0, gids[0][1] if gids else 0)


@functools.cache
def is_supported() -> bool:
    """Tell whether overlayfs takes layers by descriptor, as those with mapped owners need (Linux 6.13)."""
    if not os.path.exists("/proc/self/ns/user"):
        return False
    with tempfile.TemporaryDirectory() as directory:
        layer = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        context = -1
        try:
            context = mount.fsopen("overlay")
            mount.fsconfig_fd(context, "lowerdir+", layer)
        except OSError:
            return False
        finally:
            os.close(layer)
            if context >= 0:
                os.close(context)
    return True


def _check_mapping(kind: str, entries: Iterable[pb.IDMapping]) -> None:
    mapping = list(entries)
    if len(mapping) != 1:
        raise faults.invalid(f"cannot run sandbox: {len(mapping)} {kind} mappings, exactly one is supported")
    only = mapping[0]
    if only.container_id != 0 or only.length == 0:
        raise faults.invalid(f"cannot run sandbox: the {kind} mapping does not cover id 0 of the container")
    if only.host_id + only.length > _ID_MAX:
        raise faults.invalid(f"cannot run sandbox: the {kind} mapping exceeds the host's ids")


def _is_identity(entry: pb.IDMapping) -> bool:
    return entry.container_id == entry.host_id


def _map(entries: Iterable[pb.IDMapping]) -> IdMap:
    return tuple([(entry.container_id, entry.host_id, entry.length) for entry in entries])
