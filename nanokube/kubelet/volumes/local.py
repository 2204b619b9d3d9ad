"""local: a directory, or a block device, of the node behind a PersistentVolume. Blocking.

A directory is bound into the Pod's own place, with its mount options; a device with a filesystem is mounted
there, and formatted first if there is nothing on it.
Source: pkg/volume/local/local.go.
"""

import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cri.linux import mount
from nanokube.api import objects
from nanokube.kubelet.volumes import ownership
from nanokube.kubelet.volumes.errors import VolumeFault
from nanokube.kubelet.volumes.mounter import Mounter

Object = Mapping[str, Any]
DIRECTORY = "kubernetes.io~local-volume"
FLAGS = {
    "ro": mount.MS_RDONLY,
    "nosuid": mount.MS_NOSUID,
    "nodev": mount.MS_NODEV,
    "noexec": mount.MS_NOEXEC,
    "noatime": mount.MS_NOATIME,
    "nodiratime": mount.MS_NODIRATIME,
    "relatime": mount.MS_RELATIME,
}
_UNREADY = "."  # begins the name of what is being made ready
_CHANGES_NOTHING = ("rw", "bind", "defaults", "exec", "suid", "dev")


def set_up(
    volume: Object,
    place: Path,
    mounter: Mounter,
    *,
    group: int | None,
    only_on_mismatch: bool,
    read_only: bool,
) -> None:
    """Mount a PersistentVolume at place, unless it is there. group: the Pod's fsGroup. Raises VolumeFault."""
    source = checked(volume)
    flags = _flags(objects.spec(volume).get("mountOptions") or ()) | (mount.MS_RDONLY if read_only else 0)
    if place in mounter.mounts_below(place):
        return
    is_shared = bool(_others(place, mounter))
    # Made ready beside its place: what a killed agent left half done would be taken for ready there.
    beside = place.with_name(_UNREADY + place.name)
    for each in (beside, place):
        each.mkdir(parents=True, exist_ok=True, mode=0o750)
    for left in mounter.mounts_below(beside):
        mounter.unmount(left)
    if stat.S_ISBLK(source.stat().st_mode):
        fstype = objects.spec(volume)["local"].get("fsType") or "ext4"
        mounter.device(source, beside, fstype, flags)
    else:
        mounter.bind(source, beside, flags)
    try:
        if group is not None and not flags & mount.MS_RDONLY and not is_shared:
            ownership.give(beside, group, only_on_mismatch=only_on_mismatch)
        mounter.copy(beside, place)
    finally:
        mounter.unmount(beside)
    beside.rmdir()


def is_of(point: Path, name: str) -> bool:
    """Tell whether a Pod has, or is about to have, the volume of that name mounted there."""
    return point.parts[-2:] in ((DIRECTORY, name), (DIRECTORY, _UNREADY + name))


def checked(volume: Object) -> Path:
    """Give the path of a local volume that can be mounted. Raises VolumeFault."""
    path = Path(objects.spec(volume)["local"]["path"])
    if ".." in path.parts:
        raise VolumeFault(f"invalid path: {path} must not contain '..'")
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise VolumeFault(f'path "{path}" does not exist') from error
    if not stat.S_ISDIR(mode) and not stat.S_ISBLK(mode):
        raise VolumeFault("only directory and block device are supported")
    return path


def device(volume: Object) -> Path:
    """Give the node's device of a volume in block mode. Raises VolumeFault."""
    path = checked(volume)
    if not stat.S_ISBLK(path.stat().st_mode):
        raise VolumeFault(f"{path} is not a block device")
    return path.resolve()


def _flags(options: Sequence[str]) -> int:
    flags = 0
    for option in (each for line in options for each in line.split(",")):
        if option in _CHANGES_NOTHING:
            continue
        if option not in FLAGS:
            raise VolumeFault(f'mount option "{option}" is not supported: only {", ".join(FLAGS)}')
        flags |= FLAGS[option]
    return flags


def _others(place: Path, mounter: Mounter) -> list[Path]:
    """List where other Pods have the volume mounted: its owner is changed for the first one only."""
    pods = place.parents[3]
    return [
        point
        for point in mounter.mounts_below(pods)
        if point.parts[-2:] == place.parts[-2:] and point != place
    ]
