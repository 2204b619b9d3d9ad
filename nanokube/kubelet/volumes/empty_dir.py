"""emptyDir: a directory, or a tmpfs with medium Memory. Blocking.

Source: pkg/volume/emptydir/empty_dir.go.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cri.linux import mount
from nanokube.api import quantity
from nanokube.kubelet.volumes.errors import VolumeFault


def set_up(volume: Mapping[str, Any], path: Path, memory_limit: int) -> None:
    """Make the directory, writable by all. memory_limit: the Pod's, which bounds a tmpfs; 0 if none."""
    source = volume.get("emptyDir") or {}
    path.mkdir(parents=True, exist_ok=True)
    medium = source.get("medium") or ""
    if medium == "Memory":
        if not path.is_mount():
            sizes = [memory_limit] if memory_limit else []
            if source.get("sizeLimit"):
                sizes.append(quantity.parse(source["sizeLimit"]).value)
            size = min((s for s in sizes if s > 0), default=0)
            options = f"size={size},mode=0777" if size else "mode=0777"
            mount.mount("tmpfs", str(path), "tmpfs", mount.MS_NOSUID | mount.MS_NODEV, options)
    elif medium:
        raise VolumeFault(f"unsupported emptyDir medium {medium!r}")
    else:
        path.chmod(0o777)
