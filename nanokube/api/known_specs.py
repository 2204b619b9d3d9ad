"""What is known of the specs of Pods that came before. Pure.

Replicas of a template have the same spec: whatever follows from a spec alone, as that it is valid, is found
out once and kept with the spec's content. Nothing that depends on the Pod's metadata, its namespace, on who
asks or on the time belongs here. `replicas.py` does the same for what clients send.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import orjson

from nanokube.api.objects import Object

T = TypeVar("T")

_MEMORABLE_BYTES: Final = 16_384
# Replicas differ in one drawn name. What stands for it contains what stands in no JSON, so that no other
# volume is taken for it.
PREFIX: Final = "kube-api-access-"
_TOKEN_VOLUME: Final = re.compile(rb'"name":"kube-api-access-[a-z0-9]{5}"')
_STAND_IN: Final = b'"name":"kube-api-access-\0"'


class Memory(Generic[T]):
    """Values by bytes: the latest used `most` of them, of keys up to 16 KiB. make: a new value."""

    def __init__(self, make: Callable[[], T], most: int) -> None:
        self._make = make
        self._most = most
        self._kept: dict[bytes, T] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: bytes) -> T:
        """Give the value of a key, or a new one."""
        found = self._kept.pop(key, None)
        if found is None:
            found = self._make()
            if len(key) > _MEMORABLE_BYTES:
                return found
            if len(self._kept) >= self._most:
                del self._kept[next(iter(self._kept))]
        self._kept[key] = found
        return found


class Known:
    """What was found out of a spec with its defaults; False: not yet, or that it is not so.

    is_valid_pod, is_valid_template: nothing is wrong with it as such. is_silent: nothing is to be said of it.
    """

    __slots__ = ("is_silent", "is_valid_pod", "is_valid_template")

    def __init__(self) -> None:
        self.is_valid_pod = False
        self.is_valid_template = False
        self.is_silent = False


_known: Final = Memory(Known, 512)


def look(spec: Object) -> tuple[Known, bytes]:
    """Give what is known of a spec, and the spec as JSON."""
    encoded = orjson.dumps(spec)
    return _known.find(content(encoded)), encoded


def content(encoded: bytes) -> bytes:
    """Take out of a spec as JSON what is drawn for each Pod."""
    drawn = _TOKEN_VOLUME.search(encoded)
    return encoded.replace(drawn[0], _STAND_IN) if drawn else encoded


def named(content: bytes, name: str) -> bytes:
    """Put a drawn name back in."""
    return content.replace(_STAND_IN, b'"name":"%b"' % name.encode())


def find(spec: Object) -> Known:
    """Give what is known of a spec."""
    return look(spec)[0]
