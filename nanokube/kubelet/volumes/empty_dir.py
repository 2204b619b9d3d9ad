"""emptyDir: a directory, or a tmpfs with medium Memory. Blocking.

Source: pkg/volume/emptydir/empty_dir.go.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nanokube.api import quantity
from nanokube.kubelet.volumes import ownership
from nanokube.kubelet.volumes.errors import VolumeFault
from nanokube.kubelet.volumes.mounter import Mounter


def set_up(
    volume: Mapping[str, Any], path: Path, memory_limit: int, mounter: Mounter, group: int | None
) -> None:
    """Make the directory, writable by all, unless it is there: the Pod may have changed its mode since.

    memory_limit: the Pod's, which bounds a tmpfs; 0 if none. group: the Pod's fsGroup.
    """
    source = volume.get("emptyDir") or {}
    medium = source.get("medium") or ""
    if medium == "Memory":
        asked = quantity.parse(source.get("sizeLimit") or "0").value
        size = min((s for s in (memory_limit, asked) if s > 0), default=0)
        path.mkdir(parents=True, exist_ok=True)
        mounter.tmpfs(path, f"size={size},mode=1777" if size else "mode=1777")
        if group is not None:
            ownership.give(path, group, only_on_mismatch=True)
    elif medium:
        raise VolumeFault(f"unsupported emptyDir medium {medium!r}")
    elif not path.exists():
        _make(path, group)


def _make(path: Path, group: int | None) -> None:
    """Make a directory beside its place, so that an agent killed meanwhile leaves nothing half done there."""
    beside = path.with_name(f".{path.name}")
    beside.mkdir(parents=True, exist_ok=True)
    beside.chmod(0o777)
    if group is not None:
        ownership.give(beside, group)
    beside.rename(path)
