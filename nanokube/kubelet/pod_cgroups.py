"""Removes the cgroups of Pods that are gone: the runtime makes what we name, and leaves it to us.

Source: pkg/kubelet/kubelet_pods.go cleanupOrphanedPodCgroups, pkg/kubelet/cm/pod_container_manager_linux.go.
"""

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

PREFIX = "pod"


def hierarchies() -> list[Path]:
    """List the mount points of every cgroup hierarchy, v1 and v2. Raises OSError."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _dash, rest = line.partition(" - ")
        if rest.split(" ")[0] in ("cgroup", "cgroup2"):
            found.append(Path(fields.split(" ")[4]))
    return found


def find(points: Iterable[Path], root: str) -> Mapping[str, Sequence[Path]]:
    """Return the cgroups of Pods by UID: <point>/<root>/<qos>/pod<uid>."""
    found: dict[str, list[Path]] = defaultdict(list)
    for point in points:
        for place in (point / root.strip("/")).glob(f"*/{PREFIX}*"):
            found[place.name.removeprefix(PREFIX)].append(place)
    return found


def remove(places: Iterable[Path]) -> None:
    """Remove cgroups with what is below; one that holds a process stays for the next time."""
    for place in places:
        for directory, _names, _files in os.walk(place, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
