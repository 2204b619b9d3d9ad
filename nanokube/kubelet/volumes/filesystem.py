"""Filesystems on block devices: what is there, and a new one where nothing is. Blocking.

Source: mount-utils mount_linux.go (GetDiskFormat, formatAndMount).
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from nanokube.kubelet.volumes.errors import VolumeFault

LOOK_S = 60.0
FORMAT_S = 600.0


def filesystem_of(source: Path) -> str:
    """Name what is on a device; "" if there is nothing. Raises VolumeFault.

    blkid says 2 where it finds nothing at all; Source: blkid(8).
    """
    done = _run(["blkid", "-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export", str(source)], timeout_s=LOOK_S)
    found = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    if "TYPE" in found:
        return found["TYPE"]
    if "PTTYPE" in found or done.returncode not in (0, 2):
        cause = f"it has a partition table ({found['PTTYPE']})" if found else done.stderr.strip()
        raise VolumeFault(f"cannot mount {source}: {cause}")
    return ""


def make_filesystem(source: Path, fstype: str) -> None:
    """Format an empty device. Raises VolumeFault."""
    options = ["-F", "-m0"] if fstype in ("ext3", "ext4") else []
    done = _run([f"mkfs.{fstype}", *options, str(source)], timeout_s=FORMAT_S)
    if done.returncode:
        raise VolumeFault(f"cannot format {source} as {fstype}: {done.stderr.strip()}")


def _run(command: Sequence[str], *, timeout_s: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except FileNotFoundError as error:
        raise VolumeFault(f"cannot run {command[0]}: it is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise VolumeFault(f"{command[0]} took longer than {timeout_s:g} s") from error
