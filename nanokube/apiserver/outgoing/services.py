"""Finds the endpoints of Services in the caches."""

from __future__ import annotations

from nanokube.api import selectors
from nanokube.apiserver.cache.caches import Caches
from nanokube.apiserver.cache.selection import Selection
from nanokube.apiserver.outgoing import target


class Services:
    """Calling it is a target.Endpoints."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches

    def __call__(self, namespace: str, name: str, port: int) -> list[tuple[str, int]]:
        """List the ready endpoints of a port. Raises CannotReach."""
        service = self._caches.of("services").find(f"{namespace}/{name}")
        labels = selectors.from_labels({"kubernetes.io/service-name": name})
        slices = self._caches.of("endpointslices.discovery.k8s.io")
        found = [item.object() for item in slices.select(Selection(namespace, labels=labels))]
        return target.endpoints(service.object() if service else None, found, namespace, name, port)
