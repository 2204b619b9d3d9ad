"""What was found out about conditions that read the same: found again by the text of what they read.

State: the last few hundred answers, of which none outlives the policies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from nanokube.api.cel import inputs
from nanokube.api.cel.inputs import Reads, Root

V = TypeVar("V")
_MOST: Final = 512  # answers
_LONGEST: Final = 4096  # bytes of a text
_PATIENCE: Final = 64  # texts in a row that were new: what is read differs from write to write
_PAUSE: Final = 1024  # writes until it is tried again


class Memory(Generic[V]):
    """reads: what answers depend on."""

    def __init__(self, reads: Reads) -> None:
        self._text_of = inputs.text_of(reads)
        self._known: dict[bytes, V] = {}
        self._new = 0
        self._pause = 0

    def answer(self, root: Root, ask: Callable[[], V | None]) -> V | None:
        """Give what was answered before, or ask. None is not remembered."""
        if self._pause:
            self._pause -= 1
            return ask()
        text = self._text_of(root)
        if text is None or len(text) > _LONGEST:
            return ask()
        found = self._known.get(text)
        if found is not None:
            self._new = 0
            return found
        return self._learn(text, ask())

    def _learn(self, text: bytes, found: V | None) -> V | None:
        self._new += 1
        if self._new > _PATIENCE:
            self._new, self._pause = 0, _PAUSE
            self._known.clear()
        elif found is not None:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[text] = found
        return found
