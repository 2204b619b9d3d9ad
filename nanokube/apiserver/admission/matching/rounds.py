"""Who is asked again about a write, after others have changed it. Pure.

Source: staging apiserver pkg/admission/plugin/webhook/mutating/reinvocationcontext.go.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Self

from nanokube.api import objects
from nanokube.apiserver.admission.chain import Attributes


class Rounds:
    """What the first round of one plugin leaves to its second. Keys: of those that it asks."""

    def __init__(self) -> None:
        self._output: Any = None
        self._wanting: set[Hashable] = set()  # whoever wants to be asked again
        self._again: set[Hashable] = set()

    @classmethod
    def begin(cls, attributes: Attributes, plugin: str) -> Self:
        """Begin a round of a plugin."""
        rounds: Self = attributes.notes.setdefault(plugin, cls())
        if attributes.round and rounds._output != attributes.obj:
            rounds._again |= rounds._wanting  # others have changed the object since
        return rounds

    def is_due(self, attributes: Attributes, key: Hashable) -> bool:
        """Tell whether to ask in this round: everybody at first, then who wants to and sees something new."""
        return not attributes.round or key in self._again

    def asked(self, attributes: Attributes, key: Hashable, *, is_changed: bool, is_repeated: bool) -> None:
        """Note that somebody was asked: did that change the object, does it want to be asked again?"""
        self._again.discard(key)
        if is_changed:
            self._again |= self._wanting
            attributes.goes_again = True
        if is_repeated:
            self._wanting.add(key)

    def end(self, attributes: Attributes) -> None:
        """End a round: what changes the object from here on is others' doing."""
        self._output = objects.copy(attributes.obj)
