"""What the kubelet's HTTPS server asks of the kubelet. The kubelet gives an object of this shape."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

Object = Mapping[str, Any]


class HostError(Exception):
    """A request cannot be served: becomes a plain-text answer with `status` (400, 404, 500, 503)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclasses.dataclass(frozen=True, slots=True)
class LogSource:
    """Where one container's log is, and which container writes it."""

    container_id: str
    path: Path  # <pod log directory>/<container>/<restart count>.log; rotated files lie beside it


class Host(Protocol):
    """The kubelet as its server sees it."""

    def pods(self) -> Sequence[Object]:
        """Return the Pods bound to this node, as in the kubelet's caches (with status)."""
        ...

    def pod(self, namespace: str, name: str) -> Object | None:
        """Return one Pod of this node."""
        ...

    async def log_source(self, pod: Object, container: str, *, previous: bool) -> LogSource:
        """Find the log of a container's current (or previous) instance, started or exited.

        Raises HostError 400 as: container "c" in pod "p" is waiting to start: reason; or: previous terminated
        container "c" in pod "p" not found.
        """
        ...

    async def is_running(self, container_id: str) -> bool:
        """Tell whether a container still runs; a followed log ends when it does not."""
        ...

    async def running_container(self, pod: Object, container: str) -> str:
        """Return the id of a container that runs now. Raises HostError 400 (not running), 404 (unknown)."""
        ...

    async def exec_url(
        self, container_id: str, argv: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> str:
        """Ask CRI's Exec for a streaming URL."""
        ...

    async def attach_url(
        self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> str:
        """Ask CRI's Attach for a streaming URL."""
        ...

    async def port_forward_url(self, pod: Object, ports: Sequence[int]) -> str:
        """Ask CRI's PortForward on the Pod's ready sandbox. Raises HostError 404 without one."""
        ...

    async def make_volume(self, name: str) -> str:
        """Make a directory for a volume of the cluster's own class; give its path. Raises HostError."""
        ...

    async def remove_volume(self, name: str) -> None:
        """Remove such a directory with its data. Raises HostError 409 while a Pod has it."""
        ...

    async def stats_summary(self) -> Object:
        """Return the document of /stats/summary (node and pods: cpu, memory, network, fs)."""
        ...
