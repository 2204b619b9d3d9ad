"""What a list found, and its bytes: shared by all who ask for the same until something changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from nanokube.apiserver.cache.item import Item

MOST_BYTES: Final = 32 << 20  # what is kept of one list


class Selected(list[Item]):
    """The objects of a namespace, or all, at one state of the cache; nobody changes it."""

    __slots__ = ("_asked", "_pieces")

    def __init__(self, items: Iterable[Item]) -> None:
        super().__init__(items)
        self._asked = b""
        self._pieces: Sequence[bytes] = ()

    def joined(self, front: bytes, pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
        """Yield the pieces of a body of so many bytes, those of the last time if it is asked for again.

        front: what the pieces depend on. Kept from the second time on: most lists are asked for once.
        """
        if size > MOST_BYTES:
            return pieces
        if self._asked != front:
            self._asked, self._pieces = front, ()
            return pieces
        return self._keep(front, pieces) if not self._pieces else iter(self._pieces)

    def _keep(self, front: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
        kept = []
        for piece in pieces:
            kept.append(piece)
            yield piece
        if self._asked == front:
            self._pieces = kept
