"""Directories of this node that are volumes of the cluster's own storage class: one a volume. Blocking.

    <root>/<volume>            the data
    <root>/.<volume>.removed   what is left of a volume while it is being removed
The provisioner (nanokube/controllers/local_volumes.py) asks for them through the kubelet's server.
"""

import os
import re
import shutil
from pathlib import Path

from nanokube.kubelet.volumes import local
from nanokube.kubelet.volumes.errors import VolumeFault
from nanokube.kubelet.volumes.mounter import Mounter

NAME = re.compile(r"pvc-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # of no other name is anything removed


class Directories:
    """Makes and removes them. pods: below it Pods have their volumes mounted."""

    def __init__(self, root: Path, pods: Path, mounter: Mounter) -> None:
        self._root = root
        self._pods = pods
        self._mounter = mounter

    def make(self, name: str) -> Path:
        """Make a volume's directory, unless it is there. Raises VolumeFault, OSError."""
        path = self._place(name)
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.mkdir(exist_ok=True)
        path.chmod(0o777)  # whoever the Pod's processes are; the way to it is root's alone
        return path

    def remove(self, name: str) -> None:
        """Remove a volume with its data; what is gone already is fine. Raises VolumeFault, OSError."""
        path = self._place(name)
        if places := self._in_use(path):
            raise VolumeFault(f"{path} is in use: mounted at {places[0]}")
        left = self._root / f".{name}.removed"
        if path.exists():
            # A new name first: what is half removed is never mounted again.
            if left.exists():
                shutil.rmtree(left)
            os.rename(path, left)
        if left.exists():
            shutil.rmtree(left)

    def _place(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise VolumeFault(f"{name!r} is no name of a volume")
        return self._root / name

    def _in_use(self, path: Path) -> list[Path]:
        mounted = self._mounter.mounts_below(self._pods)
        below = [each for each in mounted if local.is_of(each, path.name)]
        return below + self._mounter.mounts_below(path)
