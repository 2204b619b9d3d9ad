"""Ends what a node runs and takes back what it made on the host, in the order that leaves nothing behind.

Each step is safe to repeat: a step that fails halfway is finished by calling it again.
"""

import contextlib
import logging
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from pathlib import Path

import grpc

from cri.api import runtime_pb2, runtime_pb2_grpc
from cri.linux import apparmor, mount, nftables
from nanokube.kit import paths
from nanokube.netpol import ruleset as netpol
from nanokube.podnet import kernel as podnet
from nanokube.proxy import announcer, ruleset
from nanokube.roles import config as node_config
from nanokube.roles import keeper, systemd

log = logging.getLogger(__name__)

STOP_GRACE_S = 10
COMMAND_LINK = Path("/usr/local/bin/nanokube")
CGROUP_TIMEOUT_S = 5.0
HOST_GRACE_S = 5.0
PARALLEL = 16
POD_LOG = re.compile(r"^[^_]+_[^_]+_[0-9a-f]{8}-[0-9a-f-]{27}$")


def stop_pods(config: node_config.NodeConfig, report: Callable[[int, int], None]) -> None:
    """Stop and remove every sandbox, with its containers and its network, through the CRI.

    report(done, total) is called after each. Does nothing if the runtime does not run.
    """
    with (
        contextlib.suppress(grpc.RpcError),
        grpc.insecure_channel(f"unix://{config.paths.cri_socket}") as channel,
    ):
        stub = runtime_pb2_grpc.RuntimeServiceStub(channel)  # type: ignore[no-untyped-call]
        listed = stub.ListPodSandbox(runtime_pb2.ListPodSandboxRequest(), timeout=10)
        with futures.ThreadPoolExecutor(PARALLEL) as pool:
            work = [pool.submit(_remove_sandbox, stub, each.id) for each in listed.items]
            for done, future in enumerate(futures.as_completed(work), start=1):
                future.result()
                report(done, len(work))


def _remove_sandbox(stub: runtime_pb2_grpc.RuntimeServiceStub, sandbox: str) -> None:
    wanted = runtime_pb2.ContainerFilter(pod_sandbox_id=sandbox)
    listed = stub.ListContainers(runtime_pb2.ListContainersRequest(filter=wanted), timeout=10)
    for container in listed.containers:
        request = runtime_pb2.StopContainerRequest(container_id=container.id, timeout=STOP_GRACE_S)
        stub.StopContainer(request, timeout=STOP_GRACE_S + 10)
    stub.StopPodSandbox(runtime_pb2.StopPodSandboxRequest(pod_sandbox_id=sandbox), timeout=60)
    stub.RemovePodSandbox(runtime_pb2.RemovePodSandboxRequest(pod_sandbox_id=sandbox), timeout=60)


def stop_runtime(config: node_config.NodeConfig) -> None:
    """End the runtime's processes and whatever container is left."""
    keeper.shutdown(config)


def end_containers(config: node_config.NodeConfig) -> None:
    """End runtime and containers as the host goes down, which would wait for them, 90 s as a rule.

    A container's first process ignores SIGTERM unless it asks for it, from systemd too. The runtime ends
    before them, so that it notes no success of what was broken off: containers are started anew, as after a
    loss of power. Who wants more time for Pods has `--shutdown-grace`. Raises OSError.
    """
    keeper.shutdown(config)
    groups = list(_cgroup_tops(config.cgroup_root))
    end_processes(lambda: {pid for top in groups for pid in _members_below(top)}, HOST_GRACE_S)


def end_processes(running: Callable[[], Iterable[int]], grace_s: float) -> None:
    """Send SIGTERM to each, and SIGKILL to those that are left after grace_s; return when none is."""
    _signal(running(), signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while left := list(running()):
        if (now := time.monotonic()) > deadline + CGROUP_TIMEOUT_S:
            log.warning("processes stay count=%d", len(left))
            return
        if now > deadline:
            _signal(left, signal.SIGKILL)
        time.sleep(0.05)


def _members_below(top: Path) -> Iterator[int]:
    for group, _directories, _files in os.walk(top):
        with contextlib.suppress(OSError):
            yield from map(int, (Path(group) / "cgroup.procs").read_text().split())


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def remove_kernel_objects(config: node_config.NodeConfig) -> None:
    """Remove tables, links, mounts and cgroups, and give host settings their former values."""
    from cni import host
    from nanokube.dns import link

    with contextlib.suppress(OSError):
        tables = nftables.Nftables()
        tables.run(netpol.remove() + ruleset.remove())
        tables.close()
    link.remove()
    with contextlib.suppress(OSError, nftables.NftablesError):
        podnet.remove()
        announcer.remove()
    host.reset(config.paths.cni)
    for place in mounts_below(config.paths):
        with contextlib.suppress(OSError):
            mount.umount(place, mount.MNT_DETACH)
    remove_cgroups(config.cgroup_root)
    with contextlib.suppress(OSError):
        apparmor.unload_unused(apparmor.DEFAULT)


def mounts_below(place: paths.Paths) -> list[str]:
    """Return the mount points inside the node's directories, innermost first."""
    roots = tuple(f"{each}/" for each in (place.lib, place.run))
    points = [_unescape(line.split(" ")[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((each for each in points if each.startswith(roots)), key=len, reverse=True)


def _unescape(field: str) -> str:
    """Undo the octal escapes of proc(5): a blank is \\040."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def remove_cgroups(root: str) -> None:
    """Remove the node's cgroups in every hierarchy, ending what still runs in them."""
    for top in _cgroup_tops(root):
        deadline = time.monotonic() + CGROUP_TIMEOUT_S
        while top.exists() and time.monotonic() < deadline:
            for group in [*(Path(found) for found, _d, _f in os.walk(top, topdown=False))]:
                _kill_members(group)
                with contextlib.suppress(OSError):
                    group.rmdir()
            if top.exists():
                time.sleep(0.02)
        if top.exists():
            log.warning("cgroup is still busy path=%s", top)


def _remove_command_link() -> None:
    """Remove the link to this installation's command that scripts/install made."""
    with contextlib.suppress(OSError):
        if COMMAND_LINK.is_symlink() and COMMAND_LINK.readlink() == Path(sys.prefix) / "bin/nanokube":
            COMMAND_LINK.unlink()


def _remove_logind_override() -> None:
    """Have logind wait for shutdown locks as long as it did before a node asked for more."""
    from nanokube.kubelet.node import logind

    if logind.OVERRIDE.exists():
        logind.OVERRIDE.unlink()
        with contextlib.suppress(OSError):  # others have files there
            logind.OVERRIDE.parent.rmdir()
        systemd.reload_logind()


def _cgroup_tops(root: str) -> Iterator[Path]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _dash, rest = line.partition(" - ")
        if rest.split(" ")[0] in ("cgroup", "cgroup2"):
            top = Path(_unescape(fields.split(" ")[4])) / root
            if top.is_dir():
                yield top


def _kill_members(group: Path) -> None:
    with contextlib.suppress(OSError):
        for pid in (group / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)


def remove_files(config: node_config.NodeConfig, *, keep_volumes: bool = False) -> None:
    """Remove the node's directories, Pod logs, and the service manager's unit. Raises OSError.

    keep_volumes: the data of persistent volumes stays.
    """
    place = config.paths
    if left := mounts_below(place):
        # Removing files now would remove them from whatever is still mounted: disks of the host, perhaps.
        raise OSError(f"cannot remove the node's files: {left[0]} is still mounted")
    if place.root == Path("/"):
        systemd.uninstall()
        _remove_logind_override()
        _remove_command_link()
    for directory in (place.etc, place.run, place.log):
        shutil.rmtree(directory, ignore_errors=True)
    for entry in _entries(place.lib):
        if not (keep_volumes and entry == place.volumes):
            _remove(entry)
    with contextlib.suppress(OSError):  # volumes are there, or somebody's mount
        place.lib.rmdir()
    if place.pod_logs.is_dir():
        for entry in place.pod_logs.iterdir():
            if POD_LOG.match(entry.name):
                shutil.rmtree(entry, ignore_errors=True)
        with contextlib.suppress(OSError):
            place.pod_logs.rmdir()


def volumes(config: node_config.NodeConfig) -> list[Path]:
    """List the directories of persistent volumes that this host holds."""
    return [each for each in _entries(config.paths.volumes) if each.is_dir()]


def _entries(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)
