"""Ranges of ids for Pods with `hostUsers: false`: each Pod has 64K ids of the host that no other Pod has.

    free --(of: written to pods/<uid>/userns, then used)--> held --(release: nothing runs)--> free

A range is written before the runtime hears of it, so a restarted kubelet finds who holds what.
Source: pkg/kubelet/userns/userns_manager.go, pkg/kubelet/kubelet_pods.go.
"""

import dataclasses
import json
import os
import random
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

LENGTH = 65536  # ids a Pod; kubelet configuration userNamespaces.idsPerPod
OWNER = "kubelet"  # whose lines of /etc/subuid and /etc/subgid count
_FILE = "userns"
_ID_END = (1 << 32) - LENGTH  # the last range holds the id that means "none"


class NoRange(Exception):
    """A Pod cannot have ids of its own. The message goes to its events."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pool:
    """Ranges that may be given out: `first` is the first id, a multiple of LENGTH; `count` of them."""

    first: int
    count: int


EVERYTHING = Pool(LENGTH, _ID_END // LENGTH - 1)  # with no line for the kubelet: all but the host's first 64K


def pool(subuid: str, subgid: str) -> Pool:
    """Read the kubelet's lines `kubelet:FIRST:COUNT` of both files. Pure. Raises NoRange."""
    users, groups = _line(subuid), _line(subgid)
    if users is None and groups is None:
        return EVERYTHING
    if users != groups or users is None:
        raise NoRange(f"cannot use /etc/subuid and /etc/subgid: ranges of {OWNER} differ")
    first, count = users
    if first % LENGTH or count % LENGTH or first < LENGTH or not count or first + count > _ID_END:
        problem = f"{first}:{count} is not made of whole ranges of {LENGTH} above the first"
        raise NoRange(f"cannot use /etc/subuid: {problem}")
    return Pool(first, count // LENGTH)


def host_pool() -> Pool:
    """Read the host's files. Blocking. Raises NoRange."""
    return pool(*(_content(Path(name)) for name in ("/etc/subuid", "/etc/subgid")))


def _content(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _line(text: str) -> tuple[int, int] | None:
    for line in text.splitlines():
        name, _, rest = line.strip().partition(":")
        first, _, count = rest.partition(":")
        if name == OWNER and first.isdigit() and count.isdigit():
            return int(first), int(count)
    return None


class UserNamespaces:
    """Who holds which range. Thread-safe; each method blocks for a small file.

    pods: the directory with one directory a Pod. choose: picks a number below the one given; by chance, so
    that ids left behind on a disk seldom come to mean another Pod.
    """

    def __init__(
        self, pods: Path, source: Callable[[], Pool], choose: Callable[[int], int] = random.randrange
    ) -> None:
        self._pods, self._source, self._choose = pods, source, choose
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()

    def adopt(self, uids: Iterable[str]) -> None:
        """Learn what Pods from before a restart hold."""
        with self._lock:
            for uid in uids:
                if (first := self._read(uid)) is not None:
                    self._held[uid] = first

    def of(self, uid: str) -> int:
        """Return the first host id of a Pod's range, the same one every time. Raises NoRange, OSError."""
        with self._lock:
            if uid not in self._held:
                first = self._read(uid)
                if first is None:
                    first = self._free(self._source())
                    self._write(uid, first)
                self._held[uid] = first
            return self._held[uid]

    def release(self, uid: str) -> None:
        """Give a Pod's range back, once nothing of it runs; no error if it holds none."""
        with self._lock:
            if self._held.pop(uid, None) is not None:
                self._path(uid).unlink(missing_ok=True)

    def _free(self, among: Pool) -> int:
        held = set(self._held.values())
        start = self._choose(among.count)
        for number in range(min(among.count, len(held) + 1)):
            first = among.first + (start + number) % among.count * LENGTH
            if first not in held:
                return first
        raise NoRange(f"cannot give the Pod a range of ids: all {among.count} are in use")

    def _path(self, uid: str) -> Path:
        return self._pods / uid / _FILE

    def _read(self, uid: str) -> int | None:
        """Return what is written for a Pod; None if nothing whole is."""
        try:
            data = json.loads(self._path(uid).read_bytes())
            first, length = data["uidMappings"][0]["hostId"], data["uidMappings"][0]["length"]
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return first if isinstance(first, int) and length == LENGTH else None

    def _write(self, uid: str, first: int) -> None:
        """Write as upstream's kubelet does: one that takes this node over finds the ranges."""
        mapping = [{"hostId": first, "containerId": 0, "length": LENGTH}]
        path = self._path(uid)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        temporary = path.with_name(f"{_FILE}.new")
        temporary.write_text(json.dumps({"uidMappings": mapping, "gidMappings": mapping}))
        os.replace(temporary, path)
