"""Mount propagation that cannot work is refused: what a container mounts must be able to reach the host."""

import os
from collections.abc import Iterable
from pathlib import Path

from cri import faults
from cri.api import runtime_pb2 as pb

MOUNTINFO = Path("/proc/self/mountinfo")


def check(mounts: Iterable[pb.Mount]) -> None:
    """Refuse BIDIRECTIONAL for a source that lies on a mount without peers. Raises RuntimeFault, OSError."""
    for mount in mounts:
        if mount.propagation != pb.PROPAGATION_BIDIRECTIONAL or not os.path.exists(mount.host_path):
            continue
        if not is_shared(MOUNTINFO.read_text(), _mount_id(mount.host_path)):
            raise faults.invalid(
                f"cannot mount {mount.host_path!r} with bidirectional propagation: its mount is not shared"
            )


def is_shared(mountinfo: str, mount_id: int) -> bool:
    """Tell whether a mount has a peer group. Pure. Source: proc_pid_mountinfo(5)."""
    for line in mountinfo.splitlines():
        fields = line.split()
        if fields[0] == str(mount_id):
            return any(field.startswith("shared:") for field in fields[6 : fields.index("-")])
    return False


def _mount_id(path: str) -> int:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        text = Path(f"/proc/self/fdinfo/{fd}").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("mnt_id:"))
    finally:
        os.close(fd)
