"""What plugins may look up: the server's own caches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Lookup:
    """find: storage name and key to the live object. scan: storage name and namespace to all. Copies."""

    find: Callable[[str, str], dict[str, Any] | None]
    scan: Callable[[str, str], Iterator[dict[str, Any]]]


def newest(objects: Iterator[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Choose the newest object, by name among those of one second."""
    found = sorted(objects, key=lambda o: str(o["metadata"]["name"]))
    return max(found, key=lambda o: o["metadata"].get("creationTimestamp") or "", default=None)
