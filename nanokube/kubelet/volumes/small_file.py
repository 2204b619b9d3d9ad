"""Reads a small file that a container left in a volume, which it may have made a trap of. Blocking."""

import os
import stat
from pathlib import Path
from typing import Final

from cri.linux import openat2
from nanokube.kubelet.volumes.errors import VolumeFault

LIMIT_BYTES: Final = 1024 * 1024
_RESOLVE: Final = openat2.RESOLVE_IN_ROOT | openat2.RESOLVE_NO_MAGICLINKS


def read(volume: Path, path: str) -> str | None:
    """Return a file's text, None if there is none; links lead nowhere outside of the volume.

    Raises VolumeFault: it is no regular file, too large, or no UTF-8. Raises OSError.
    """
    root = os.open(volume, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:  # O_NONBLOCK: nobody need write to a FIFO
        opened = openat2.openat2(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY, resolve=_RESOLVE)
    except (FileNotFoundError, NotADirectoryError):
        return None
    finally:
        os.close(root)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise VolumeFault(f"cannot read {path!r}: it is no regular file")
    with open(opened, "rb") as file:
        data = file.read(LIMIT_BYTES + 1)
    if len(data) > LIMIT_BYTES:
        raise VolumeFault(f"cannot read {path!r}: it has more than {LIMIT_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise VolumeFault(f"cannot read {path!r}: it is not UTF-8") from error
