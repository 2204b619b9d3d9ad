"""Ends Pods that take more of the disk than they may, in an emptyDir, a container, or all of them together.

Only Pods that set a limit are measured. Node pressure is another matter, and nobody's yet.
Source: pkg/kubelet/eviction/eviction_manager.go, localStorageEviction.
"""

import asyncio
import contextlib
import dataclasses
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from nanokube.api import quantity
from nanokube.client import events
from nanokube.client.events import reference_to
from nanokube.kubelet.config import KubeletConfig
from nanokube.kubelet.podview import PodView
from nanokube.kubelet.runtime import Runtime
from nanokube.kubelet.status.generate import Verdict

log = logging.getLogger(__name__)

Object = Mapping[str, Any]
CHECK_S = 10.0  # the eviction manager's monitoring interval
GRACE_S = 1.0  # immediateEvictionGracePeriodSeconds
BLOCK_BYTES = 512  # of st_blocks, stat(2)


class Worker(Protocol):
    """What is asked of a Pod's worker."""

    pod: Object
    view: PodView
    uid: str
    key: str

    def terminate(self, verdict: Verdict, grace_s: float) -> None:
        """End the Pod."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Used:
    """Bytes on disk: by name of the container (its layer and logs) and of the emptyDir."""

    containers: Mapping[str, int]
    volumes: Mapping[str, int]


def is_limited(pod: Object) -> bool:
    """Tell whether a Pod has a limit to be held to. Pure."""
    return bool(_limits(pod) or _sizes(pod))


def excess(pod: Object, used: Used) -> str:
    """Say which limit a Pod has passed; "" if none. Pure."""
    for name, size in _sizes(pod).items():
        if used.volumes.get(name, 0) > quantity.parse(size).value:
            return f'Usage of EmptyDir volume "{name}" exceeds the limit "{size}". '
    limits = _limits(pod)
    bytes_of = {name: quantity.parse(amount).value for name, amount in limits.items()}
    total = sum(used.containers.values()) + sum(used.volumes.get(name, 0) for name in _on_disk(pod))
    for name, amount in limits.items():
        if used.containers.get(name, 0) > bytes_of[name]:
            return f'Container {name} exceeded its local ephemeral storage limit "{amount}". '
    if limits and total > sum(bytes_of.values()):
        amounts = (quantity.parse(amount).amount for amount in limits.values())
        whole = quantity.Quantity(sum(amounts, Decimal()), quantity.BINARY_SI)
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {whole}. "
    return ""


def _limits(pod: Object) -> dict[str, str]:
    found = {
        c["name"]: ((c.get("resources") or {}).get("limits") or {}).get("ephemeral-storage")
        for c in pod["spec"].get("containers") or ()
    }
    return {name: amount for name, amount in found.items() if amount and quantity.parse(amount).value > 0}


def _sizes(pod: Object) -> dict[str, str]:
    found = {v["name"]: (v.get("emptyDir") or {}).get("sizeLimit") for v in pod["spec"].get("volumes") or ()}
    return {name: size for name, size in found.items() if size and quantity.parse(size).value > 0}


def _on_disk(pod: Object) -> list[str]:
    volumes = pod["spec"].get("volumes") or ()
    return [v["name"] for v in volumes if "emptyDir" in v and (v["emptyDir"] or {}).get("medium") != "Memory"]


class LocalStorage:
    """Measures now and then. workers: those that run Pods now."""

    def __init__(
        self,
        config: KubeletConfig,
        runtime: Runtime,
        recorder: events.Recorder,
        workers: Callable[[], Iterable[Worker]],
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._recorder = recorder
        self._workers = workers

    async def check(self) -> None:
        """End each Pod that has passed a limit. Raises RuntimeFault."""
        limited = [worker for worker in self._workers() if is_limited(worker.pod) and worker.view.running]
        if not limited:
            return
        layers = {
            each.attributes.id: each.writable_layer.used_bytes.value
            for each in await self._runtime.container_stats()
        }
        for worker in limited:
            used = await asyncio.to_thread(self._used, worker.pod, worker.view, layers)
            if message := excess(worker.pod, used):
                log.info("evicted: pod=%s", worker.key)
                self._recorder.event(reference_to(worker.pod), "Warning", "Evicted", message)
                worker.terminate(Verdict("Failed", "Evicted", message), GRACE_S)

    def _used(self, pod: Object, view: PodView, layers: Mapping[str, int]) -> Used:
        meta = pod["metadata"]
        logs = self._config.pod_log_directory(meta["namespace"], meta["name"], meta["uid"])
        volumes = self._config.pod_directory(meta["uid"]) / "volumes" / "kubernetes.io~empty-dir"
        names = [v["name"] for v in pod["spec"].get("volumes") or () if "emptyDir" in v]
        return Used(
            {c.name: layers.get(c.id, 0) + disk_bytes(logs / c.name) for c in view.running},
            {name: disk_bytes(volumes / name) for name in names},
        )


def disk_bytes(directory: Path) -> int:
    """Count what a tree takes on disk, each file once; what vanishes meanwhile counts nothing. Blocking."""
    seen: dict[tuple[int, int], int] = {}
    for place, _directories, files in os.walk(directory):
        for name in (".", *files):
            with contextlib.suppress(OSError):
                found = os.lstat(os.path.join(place, name))
                seen[found.st_dev, found.st_ino] = found.st_blocks * BLOCK_BYTES
    return sum(seen.values())
