"""Which group-versions other servers serve: the APIServices with a Service, by path. Follows their cache.

Source: staging kube-aggregator pkg/apiserver/{apiserver,apiservice_controller}.go.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api import objects
from nanokube.apiserver.cache.cache import DELETED, Change

NAME: Final = "apiservices.apiregistration.k8s.io"
# Served here whatever an APIService says: who could take these away could not be stopped by the API.
_OWN_GROUPS: Final = frozenset(("", "apiregistration.k8s.io"))
DEFAULT_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class Remote:
    """One group-version behind a Service. authority: PEM, "" for those of the host, None if unreadable."""

    name: str
    uid: str
    group: str
    version: str
    namespace: str
    service: str
    port: int
    authority: str | None
    is_insecure: bool

    @property
    def host(self) -> str:
        """The name that the server's certificate must be for."""
        return f"{self.service}.{self.namespace}.svc"

    @property
    def path(self) -> str:
        """Where its resources are."""
        return f"/apis/{self.group}/{self.version}"


class Table:
    """The remotes, and who of them is available. listeners: called with the name after each change."""

    def __init__(self) -> None:
        self._by_name: dict[str, Remote] = {}
        self._by_path: dict[tuple[str, str], Remote] = {}
        self._available: set[str] = set()
        self.priorities: dict[str, tuple[str, str, int, int]] = {}  # group, version, priorities of both
        self.generation = 0
        self.listeners: list[Callable[[str], None]] = []

    def find(self, group: str, version: str) -> Remote | None:
        """Return who serves a group-version, unless it is this server."""
        return self._by_path.get((group, version))

    def named(self, name: str) -> Remote | None:
        """Return a remote by the name of its APIService."""
        return self._by_name.get(name)

    def all(self) -> list[Remote]:
        """List the remotes."""
        return list(self._by_name.values())

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def is_available(self, remote: Remote) -> bool:
        """Tell whether the APIService says Available."""
        return remote.name in self._available

    def load(self, services: Iterable[Mapping[str, Any]]) -> None:
        """Take what is stored when the server starts."""
        for service in services:
            self._take(service)

    def offer(self, change: Change) -> None:
        """An APIService was written or deleted."""
        name = change.item.name
        if change.type == DELETED:
            known = self.priorities.pop(name, None)
            self._forget(name)
            is_new = known is not None
        else:
            is_new = self._take(change.item.object())
        if is_new:
            for listener in self.listeners:
                listener(name)

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on time."""

    def _take(self, service: Mapping[str, Any]) -> bool:
        """Take a state of an APIService; tell whether another server, or another way to it, is meant."""
        name, spec = objects.name(service), objects.spec(service)
        if objects.is_condition_true(service, "Available"):
            self._available.add(name)
        else:
            self._available.discard(name)
        group, version = spec.get("group") or "", spec.get("version") or ""
        priorities = (
            group,
            version,
            int(spec.get("groupPriorityMinimum") or 0),
            int(spec.get("versionPriority") or 0),
        )
        is_new = self.priorities.get(name) != priorities
        self.priorities[name] = priorities
        remote = read(service) if group not in _OWN_GROUPS else None
        if remote != self._by_name.get(name):
            is_new = True
            self._forget(name, keeps_state=True)
            if remote is not None:
                self._by_name[name] = self._by_path[(group, version)] = remote
        if is_new:
            self.generation += 1
        return is_new

    def _forget(self, name: str, *, keeps_state: bool = False) -> None:
        known = self._by_name.pop(name, None)
        if known is not None:
            self._by_path.pop((known.group, known.version), None)
        if not keeps_state:
            self._available.discard(name)
        self.generation += 1


def read(service: Mapping[str, Any]) -> Remote | None:
    """Read an APIService; None for what is served locally."""
    spec = objects.spec(service)
    where = spec.get("service")
    if not where:
        return None
    authority: str | None
    try:
        authority = base64.b64decode(spec.get("caBundle") or "").decode("ascii")
    except (binascii.Error, ValueError):
        authority = None
    return Remote(
        objects.name(service),
        objects.uid(service),
        spec.get("group") or "",
        spec.get("version") or "",
        where.get("namespace") or "",
        where.get("name") or "",
        int(where.get("port") or DEFAULT_PORT),
        authority,
        bool(spec.get("insecureSkipTLSVerify")),
    )
