"""What admission makes of a replica's spec, which it made of another's before.

That is so if the spec is the same as it was sent, the namespace too, and nothing changed since that plugins
make it of (`Plugin.made_of`); if those that clients configure have nothing to do with it (`chain.py`); and if
nothing but the spec was changed then. What depends on more, as whether the namespace is ending, is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import orjson

from nanokube.api import known_specs, replicas
from nanokube.apiserver.admission.chain import Attributes

_MIRROR: Final = "kubernetes.io/config.mirror"


class Changing(Protocol):
    """Objects of one kind."""

    @property
    def changed(self) -> int:
        """When the last of them changed."""
        ...


class Replicas:
    """made_of: what plugins make specs of. suffix: draws the end of the name of a volume."""

    def __init__(self, made_of: Sequence[Changing], suffix: Callable[[], str]) -> None:
        self._made_of = made_of
        self._own = object()  # specs are kept for all servers of the process
        self._suffix = suffix

    def recall(self, attributes: Attributes) -> bool:
        """Put in what plugins would make of the spec of a new Pod, in place; False: it is not known."""
        a = attributes
        if a.sent is None or a.obj is None:
            return False
        found = a.sent.admitted.get(a.namespace)
        if found is None or found.stamp != self._stamp() or _is_mirror(a):
            return False
        name = known_specs.PREFIX + self._suffix() if found.has_drawn else ""
        a.obj["spec"], encoded = found.replica(name)
        a.recalled = found.known, encoded
        return True

    async def learn(self, attributes: Attributes, admit: Callable[[Attributes], Awaitable[None]]) -> None:
        """Have plugins make a spec, and keep it if it would be the same for others. Raises ApiError."""
        a = attributes
        if a.sent is None or a.obj is None or _is_mirror(a):
            await admit(a)
            return
        before = self._stamp(), _rest(a)
        await admit(a)
        if (self._stamp(), _rest(a)) == before:
            replicas.keep(a.sent, a.namespace, a.obj["spec"], before[0])

    def _stamp(self) -> object:
        return self._own, [each.changed for each in self._made_of]


def _is_mirror(a: Attributes) -> bool:
    return a.obj is not None and _MIRROR in (a.obj["metadata"].get("annotations") or ())


def _rest(a: Attributes) -> object:
    """Return what plugins may change besides the spec."""
    assert a.obj is not None
    said = list(a.warnings), dict(a.annotations), dict(a.request_annotations), dict(a.notes)
    return orjson.dumps({**a.obj, "spec": None}), said, a.is_changed
