"""Bounds of what a client may ask for. Pure, but directory()."""

import os
from pathlib import Path

from cri import faults
from cri.api import runtime_pb2 as pb

SECONDS_MAX = 2_000_000  # 23 days: poll(2) and the like take 2**31 ms
NAME_BYTES_MAX = 1024  # Kubernetes' names have at most 253 characters
PORT_MAX = 65535
# include/uapi/linux/limits.h
_PATH_MAX, _NAME_MAX = 4096, 255


def seconds(value: int) -> int:
    """Return a timeout that every system call takes; what is negative is none."""
    return min(max(0, value), SECONDS_MAX)


def patience(remaining_s: float | None) -> float | None:
    """Return how long to wait for a client with this much time (grpc: no limit is None or an age)."""
    return None if remaining_s is None or remaining_s > SECONDS_MAX else max(remaining_s, 0.001)


def name(field: str, value: str) -> None:
    """Refuse what cannot stand in a log line or be passed to a network plugin. Raises RuntimeFault."""
    if len(value.encode()) > NAME_BYTES_MAX or not value.isprintable() or ";" in value or "=" in value:
        raise faults.invalid(f"cannot use {field} {value[:80]!r}: too long, or a reserved character")


def path(field: str, value: str) -> None:
    """Refuse what is no absolute path of the host. Raises RuntimeFault."""
    is_long = len(os.fsencode(value)) >= _PATH_MAX or any(
        len(os.fsencode(part)) > _NAME_MAX for part in value.split("/")
    )
    if is_long or "\x00" in value or not value.startswith("/"):
        raise faults.invalid(f"cannot use {field} {value[:80]!r}: not an absolute path of the host")


def directory(field: str, path: Path) -> None:
    """Make a directory of the host with its parents. Raises RuntimeFault for what cannot be one; OSError."""
    try:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, FileNotFoundError) as err:
        raise faults.invalid(f"cannot use {field} {str(path)[:80]!r}: {err.strerror}") from err


def port_mapping(mapping: pb.PortMapping) -> None:
    """Refuse a mapping of ports that are none. Raises RuntimeFault."""
    if not 0 <= mapping.host_port <= PORT_MAX or (
        mapping.host_port and not 0 < mapping.container_port <= PORT_MAX
    ):
        raise faults.invalid(
            f"cannot map host port {mapping.host_port} to {mapping.container_port}: no such port"
        )
    if mapping.protocol not in pb.Protocol.values():
        raise faults.invalid(f"cannot map host port {mapping.host_port}: unknown protocol {mapping.protocol}")
