"""emptyDir: a directory, or a tmpfs with medium Memory. Blocking.

Source: pkg/volume/emptydir/empty_dir.go.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nanokube.api import quantity
from nanokube.kubelet.volumes.errors import VolumeFault
from nanokube.kubelet.volumes.mounter import Mounter


def set_up(volume: Mapping[str, Any], path: Path, memory_limit: int, mounter: Mounter) -> None:
    """Make the directory, writable by all. memory_limit: the Pod's, which bounds a tmpfs; 0 if none."""
    source = volume.get("emptyDir") or {}
    path.mkdir(parents=True, exist_ok=True)
    medium = source.get("medium") or ""
    if medium == "Memory":
        asked = quantity.parse(source.get("sizeLimit") or "0").value
        size = min((s for s in (memory_limit, asked) if s > 0), default=0)
        mounter.tmpfs(path, f"size={size},mode=1777" if size else "mode=1777")
    elif medium:
        raise VolumeFault(f"unsupported emptyDir medium {medium!r}")
    else:
        path.chmod(0o777)
