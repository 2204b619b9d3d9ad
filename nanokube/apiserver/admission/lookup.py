"""What plugins may look up: the server's own caches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

# What the admission of every Pod asks for: decoded once, and shared by all who ask.
SHARED: Final = frozenset(
    (
        "limitranges",
        "namespaces",
        "priorityclasses.scheduling.k8s.io",
        "resourcequotas",
        "serviceaccounts",
    )
)


@dataclass(frozen=True, slots=True)
class Lookup:
    """find: storage name and key to the live object. scan: storage name and namespace to all.

    What they return is nobody's to change.
    """

    find: Callable[[str, str], Mapping[str, Any] | None]
    scan: Callable[[str, str], Iterator[Mapping[str, Any]]]


def newest(objects: Iterator[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Choose the newest object, by name among those of one second."""
    found = sorted(objects, key=lambda o: str(o["metadata"]["name"]))
    return max(found, key=lambda o: o["metadata"].get("creationTimestamp") or "", default=None)
