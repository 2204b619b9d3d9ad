"""How the store's keys and revisions are etcd's. Pure.

    <prefix>/registry/...      the store's own keys, as kube-apiserver lays them out
    <prefix>.nanokube/...      what servers tell each other: watched, but never shown

The store's revision is etcd's plus an offset, which a migration or a restore chooses such that no revision
that was ever given out comes again.
"""

from __future__ import annotations

from typing import Final

from nanokube.storage.store import Compacted

OFFSET: Final = ".nanokube/offset"
RESTORING: Final = ".nanokube/restoring"
BARRIER: Final = ".nanokube/barrier"


class Keys:
    """One cluster's place. offset: what is added to etcd's revisions; mark: of etcd's, when that was set."""

    def __init__(self, prefix: str, offset: int = 0, mark: int = 0) -> None:
        self._prefix = prefix
        self._length = len(prefix.encode())
        self.offset = offset
        self.mark = mark
        self.first = self.encode(".")
        self.last = self.encode("0")  # what follows "/"

    def encode(self, key: str) -> bytes:
        """Name a key in etcd."""
        return (self._prefix + key).encode()

    def decode(self, raw: bytes) -> str:
        """Name an etcd key in the store."""
        return raw[self._length :].decode()

    def is_own(self, raw: bytes) -> bool:
        """Tell whether a key is one of the store's."""
        return raw[self._length : self._length + 1] == b"/"

    def shown(self, revision: int) -> int:
        """Give the store's revision for etcd's."""
        return revision + self.offset if revision else 0

    def asked(self, revision: int) -> int:
        """Give etcd's revision for the store's; 0 stays 0. Raises Compacted for one of before the offset."""
        if not revision:
            return 0
        if revision <= self.offset:
            raise Compacted(revision, self.offset + 1)
        return revision - self.offset
