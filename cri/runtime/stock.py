"""Empty filesystems that every container has, made ahead while nothing else is to be done.

Detached mounts: nobody sees them, and they end with the process that holds them. A container takes a set of
its own; where none is left, its first process makes one.
"""

from __future__ import annotations

import logging
import os

from cri.runtime import root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cri.cgroup.hierarchy import Hierarchies
    from cri.runtime.loop import Loop

log = logging.getLogger(__name__)

_SETS = 4  # two Pods of two containers; some 25 kB of the kernel's memory each
_QUIET_S = 0.02


class Set:
    """Descriptors of detached mounts: dev with its nodes, pts, groups to mount cgroups in (-1 = none)."""

    __slots__ = ("dev", "groups", "pts")

    def __init__(self, hierarchies: Hierarchies) -> None:
        mask = os.umask(0o022)
        try:
            self.dev = root.make_dev((0, 0))
            self.pts = root.make_pts()
            self.groups = -1 if hierarchies.is_pure_v2 else root.make_group_places(hierarchies.v1_names())
        finally:
            os.umask(mask)

    def descriptors(self) -> tuple[int, int, int]:
        """All of them."""
        return self.dev, self.pts, self.groups

    def close(self) -> None:
        """Let go of them: what is attached nowhere ends."""
        for fd in self.descriptors():
            if fd >= 0:
                os.close(fd)


class Stock:
    """Sets made ahead, by make()."""

    def __init__(self, loop: Loop, make: Callable[[], Set]) -> None:
        self._loop = loop
        self._make = make
        self._sets: list[Set] = []
        self._is_due = False
        self._taken = 0

    def take(self) -> Set | None:
        """Give a set away (the caller's), and have another made once there is peace."""
        self._taken += 1
        self._refill_soon()
        return self._sets.pop() if self._sets else None

    def _refill_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.after(_QUIET_S, self._refill)

    def _refill(self) -> None:
        """Make one at a time, and none while containers are being made."""
        self._is_due = False
        busy, self._taken = self._taken, 0
        if not busy:
            try:
                self._sets.append(self._make())
            except OSError as error:
                log.info("cannot make filesystems ahead: %s", error)
                return
        if len(self._sets) < _SETS:
            self._refill_soon()
