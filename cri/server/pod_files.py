"""The files of a sandbox that its containers see: resolv.conf, hosts, hostname, and /dev/shm."""

import contextlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from cri.api import runtime_pb2 as pb
from cri.bundle import selinux, spec
from cri.linux import labels, mount
from cri.network import files
from cri.store import records

_SHM_OPTIONS = "mode=1777,size=64m"  # Docker's and containerd's size
_READABLE = 0o644


def write(
    directory: Path,
    record: records.Sandbox,
    ips: Sequence[str],
    owner: tuple[int, int] = (0, 0),
    label: str = "",
) -> None:
    """Write the files into the sandbox's directory, for its root (owner) to change. InvalidValue, OSError.

    label: the Pod's SELinux context; its files get no categories, for containers with a level of their own.
    """
    config, common = record.config, selinux.shared(label)
    resolv_conf = files.resolv_conf(config.dns_config) or _host_file("/etc/resolv.conf")
    _put(directory / "resolv.conf", resolv_conf, common)
    if record.is_host_network:
        _put(directory / "hosts", _host_file("/etc/hosts"), common)
        _put(directory / "hostname", f"{socket.gethostname()}\n", common)
    else:
        hostname = config.hostname or socket.gethostname()
        _put(directory / "hosts", files.hosts(ips, config.hostname), common)
        _put(directory / "hostname", f"{hostname}\n", common)
    for name in ("resolv.conf", "hosts", "hostname"):
        os.chown(directory / name, *owner)
    if records.namespace_options(config).ipc != pb.NODE:
        shm = directory / "shm"
        shm.mkdir(exist_ok=True)
        flags = mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC
        mount.mount("shm", str(shm), "tmpfs", flags, _SHM_OPTIONS + (f',context="{label}"' if label else ""))


def unmount(directory: Path) -> None:
    """Release the sandbox's shared memory. Idempotent."""
    shm = directory / "shm"
    with contextlib.suppress(OSError):
        while True:
            mount.umount(str(shm), mount.MNT_DETACH)


def mounts(directory: Path, config: pb.ContainerConfig, *, own_ipc: bool) -> list[spec.Mount]:
    """Return the mounts that show a sandbox's files in a container, less those it brings itself. Pure.

    Files are read-only where the root file system is.
    """
    taken = {os.path.normpath(wanted.container_path) for wanted in config.mounts}
    readonly = config.linux.security_context.readonly_rootfs
    wanted = [
        spec.Mount(target=f"/etc/{name}", source=str(directory / name), readonly=readonly)
        for name in ("hostname", "hosts", "resolv.conf")
    ]
    shm = str(directory / "shm") if own_ipc else "/dev/shm"
    wanted.append(spec.Mount(target="/dev/shm", source=shm))
    return [item for item in wanted if item.target not in taken]


def _host_file(path: str) -> str:
    with contextlib.suppress(FileNotFoundError):
        return Path(path).read_text()
    return ""


def _put(path: Path, text: str, label: str) -> None:
    """Write a file containers may read. In place: a container may have it mounted."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _READABLE)
    with open(fd, "w") as file:
        os.fchmod(fd, _READABLE)
        labels.label_file(fd, label)
        file.write(text)
