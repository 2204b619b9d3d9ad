"""Rotates container logs by size: rename, ask the runtime to reopen, drop the oldest.

Source: pkg/kubelet/logs/container_log_manager.go.
"""

import contextlib
import logging
import os
import time
from pathlib import Path

from nanokube.kubelet.config import KubeletConfig
from nanokube.kubelet.podview import ContainerView
from nanokube.kubelet.runtime import Runtime, RuntimeFault

log = logging.getLogger(__name__)


async def rotate(config: KubeletConfig, runtime: Runtime, containers: list[ContainerView]) -> None:
    """Rotate every log of a running container that grew too large."""
    for container in containers:
        if not container.is_running or not container.log_path:
            continue
        path = Path(container.log_path)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size > config.log_max_bytes:
                await _rotate_one(config, runtime, container.id, path)


async def _rotate_one(config: KubeletConfig, runtime: Runtime, container_id: str, path: Path) -> None:
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    rotated = path.with_name(f"{path.name}.{stamp}")
    path.rename(rotated)
    try:
        await runtime.reopen_log(container_id)
    except RuntimeFault as fault:
        # The runtime still writes to the renamed file: put it back under the name readers know.
        rotated.rename(path)
        log.warning("log not rotated: container=%s error=%s", container_id, fault.message)
        return
    for old in surplus(path, config.log_max_files):
        old.unlink(missing_ok=True)


def surplus(path: Path, max_files: int) -> list[Path]:
    """List rotated files beyond what may be kept; the current log counts as one."""
    rotated = sorted(
        Path(entry.path) for entry in os.scandir(path.parent) if entry.name.startswith(f"{path.name}.")
    )
    keep = max(max_files - 1, 1)
    return rotated[:-keep] if len(rotated) > keep else []
