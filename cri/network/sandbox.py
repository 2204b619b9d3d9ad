"""A sandbox's own network, IPC and UTS namespaces: made, configured, pinned, entered, dropped.

A namespace lives as long as its pin, a bind mount below run_dir/ns/<sandbox>/, so a sandbox needs no
process. Everything here that unshares or enters runs on a NetworkWorker's thread.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from cri import failpoint
from cri.linux import clone, mount
from cri.network.sysctls import InvalidSysctl
from cri.network.worker import FLAGS

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1  # include/uapi/linux/sockios.h, if.h
_CONNECT_TIMEOUT_S = 10.0


def create(
    directory: Path,
    kinds: Sequence[str],
    *,
    hostname: str,
    sysctls: Mapping[str, str],
    given: Mapping[str, int] | None = None,
) -> dict[str, str]:
    """Make new namespaces of these kinds, set them up and pin them; return kind to pin.

    given: descriptors of namespaces that exist already, by kind; pinned (`user` too), the rest is made.
    hostname: set in a new UTS namespace; "" leaves the host's. sysctls: path below /proc/sys to value.
    Leaves the calling thread inside. Raises OSError; pins made until then stay for drop().
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    existing = given or {}
    sources = {kind: f"/proc/thread-self/ns/{kind}" for kind in kinds}
    sources |= {kind: f"/proc/thread-self/fd/{fd}" for kind, fd in existing.items()}
    for kind in kinds:
        if kind in existing:
            clone.setns(existing[kind], FLAGS[kind])
    if missing := sum(FLAGS[kind] for kind in kinds if kind not in existing):
        clone.unshare(missing)
    failpoint.hit("namespaces.unshared")
    pins = {}
    for kind, source in sources.items():
        pin = directory / kind
        pin.touch(mode=0o400)
        mount.mount(source, str(pin), None, mount.MS_BIND)
        pins[kind] = str(pin)
        failpoint.hit("namespaces.pinned")
    if "uts" in pins and hostname:
        socket.sethostname(hostname)
    if "net" in pins:
        raise_loopback()
    for path, value in sysctls.items():
        _write_sysctl(path, value)
    return pins


def drop(directory: Path) -> None:
    """Unpin all namespaces of a sandbox. Idempotent.

    The kernel then takes down what is inside on its own time: deleting a veth by hand waits 20 ms for
    an RCU grace period, this does not.
    """
    with contextlib.suppress(FileNotFoundError):
        for pin in directory.iterdir():
            _unmount(pin)
        shutil.rmtree(directory, ignore_errors=True)


def connect(netns: str, port: int) -> socket.socket:
    """Connect to a TCP port on a namespace's loopback: 127.0.0.1, then ::1. Raises OSError.

    The socket belongs to the namespace; the calling thread is left inside.
    """
    if netns:
        enter(netns)
    try:
        return socket.create_connection(("127.0.0.1", port), _CONNECT_TIMEOUT_S)
    except ConnectionRefusedError:
        return socket.create_connection(("::1", port), _CONNECT_TIMEOUT_S)


def interface_counters(netns: str) -> str:
    """Return /proc/net/dev as seen from inside; the calling thread is left there. Raises OSError."""
    enter(netns)
    return Path("/proc/thread-self/net/dev").read_text()


def enter(netns: str) -> None:
    """Move the calling thread into a pinned network namespace. Raises OSError."""
    fd = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        clone.setns(fd, FLAGS["net"])
    finally:
        os.close(fd)


def is_pinned(pin: str) -> bool:
    """Tell whether a path is still a namespace pin (they are gone after a reboot)."""
    try:
        return os.stat(pin).st_dev != os.stat(os.path.dirname(pin)).st_dev
    except OSError:
        return False


def _unmount(pin: Path) -> None:
    """Unmount every layer on a pin; none left is what is wanted."""
    while True:
        try:
            mount.umount(str(pin), mount.MNT_DETACH)
        except OSError as err:
            if err.errno in (errno.EINVAL, errno.ENOENT):
                return
            raise


def raise_loopback() -> None:
    """Bring up `lo` of the calling thread's network namespace. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        name, flags = struct.unpack_from("16sH", fcntl.ioctl(sock, _SIOCGIFFLAGS, request))
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", name, flags | _IFF_UP))


def _write_sysctl(path: str, value: str) -> None:
    """Write below /proc/sys, which shows the calling thread's namespaces. Raises InvalidSysctl."""
    try:
        fd = os.open(f"/proc/sys/{path}", os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    except OSError as err:
        name = path.translate(str.maketrans("./", "/."))
        raise InvalidSysctl(f"cannot set sysctl {name!r} to {value[:80]!r}: {err.strerror}") from err
