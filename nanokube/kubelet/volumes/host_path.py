"""hostPath: a path of the node, checked to be of the type asked for. Blocking.

Source: pkg/volume/hostpath/host_path.go.
"""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nanokube.kubelet.volumes.errors import VolumeFault

_TESTS = {
    "Directory": (stat.S_ISDIR, "directory"),
    "File": (stat.S_ISREG, "file"),
    "Socket": (stat.S_ISSOCK, "socket file"),
    "CharDevice": (stat.S_ISCHR, "character device"),
    "BlockDevice": (stat.S_ISBLK, "block device"),
}


def set_up(volume: Mapping[str, Any]) -> Path:
    """Check (and with ...OrCreate make) the path and return it. Raises VolumeFault."""
    source = volume["hostPath"]
    path, kind = Path(source["path"]), source.get("type") or ""
    if ".." in path.parts:
        raise VolumeFault(f"hostPath {path} must not contain '..'")
    if kind == "DirectoryOrCreate" and not path.exists():
        path.mkdir(parents=True, mode=0o755)
    if kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    wanted = kind.removesuffix("OrCreate")
    if wanted:
        test, word = _TESTS[wanted]
        refusal = f"hostPath type check failed: {path} is not a {word}"
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise VolumeFault(refusal) from error  # also what is missing: upstream's words
        if not test(mode):
            raise VolumeFault(refusal)
    return path
