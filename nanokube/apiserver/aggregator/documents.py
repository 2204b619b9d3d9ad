"""What extension servers say of themselves: discovery and OpenAPI, as last heard.

What was heard of a server that answers no more is kept, and shown as stale.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from nanokube.apiserver.aggregator import discovery, openapi, openapi_v3
from nanokube.apiserver.aggregator.connector import Connector, Unreachable
from nanokube.apiserver.aggregator.openapi import Part
from nanokube.apiserver.aggregator.table import Remote, Table
from nanokube.apiserver.authn import remote_user
from nanokube.apiserver.authn.user import MASTERS, User

log = logging.getLogger(__name__)

DISCOVERY_TIMEOUT_S: Final = 5.0
OPENAPI_TIMEOUT_S: Final = 10.0
DISCOVERER: Final = User("system:kube-aggregator", (MASTERS,))
READER: Final = User("system:aggregator")
_WRONG: Final = (
    LookupError,
    TypeError,
    AttributeError,
    ValueError,
    ArithmeticError,
    RecursionError,
    struct.error,
    msgspec.MsgspecError,
)

Object = Mapping[str, Any]


class Documents:
    """generation: counts changes of discovery; openapi_generation, of OpenAPI."""

    def __init__(self, table: Table, connector: Connector) -> None:
        self._table = table
        self._connector = connector
        self._entries: dict[str, Object] = {}  # by name of the APIService
        self._stale: set[str] = set()
        self._addresses: dict[str, dict[str, str]] = {}
        self._parts: dict[str, tuple[str, Part]] = {}  # with the ETag
        self._older: dict[str, tuple[str, Part, Part]] = {}  # who has version 2 alone: that, version 3
        self._changes = 0
        self.openapi_generation = 0

    @property
    def generation(self) -> int:
        """Changes whenever discovery does."""
        return self._changes + self._table.generation

    # Discovery.

    def merged(self, document: Object) -> Object:
        """Add what the remotes serve to the aggregated document of /apis."""
        if not self._table:
            return document
        entries = {(r.group, r.version): self._entry(r) for r in self._table.all()}
        return discovery.merge_aggregated(document, entries, self._table.priorities)

    def _entry(self, remote: Remote) -> Object:
        found = self._entries.get(remote.name, {"version": remote.version})
        is_current = remote.name in self._entries and remote.name not in self._stale
        return {**found, "freshness": "Current" if is_current else "Stale"}

    def merged_groups(self, document: Object) -> Object:
        """Add the remotes' groups to the APIGroupList."""
        if not self._table:
            return document
        return discovery.merge_groups(document, self._table.all(), self._table.priorities)

    def merged_group(self, group: str, document: Object | None) -> Object | None:
        """Add the remotes' versions to an APIGroup."""
        remotes = [remote for remote in self._table.all() if remote.group == group]
        if not remotes:
            return document
        return discovery.merge_group(group, document, remotes, self._table.priorities)

    def paths(self) -> list[str]:
        """List the remotes' paths for the index of /."""
        return [path for r in self._table.all() for path in (f"/apis/{r.group}", r.path)]

    async def learn_resources(self, remote: Remote) -> None:
        """Ask a remote what it serves. Never raises: what is not learned is stale."""
        try:
            entry = await self._resources(remote)
        except (Unreachable, *_WRONG) as err:
            log.warning("discovery not read: name=%s error=%s", remote.name, err)
            self.lose(remote)
            return
        if entry != self._entries.get(remote.name) or remote.name in self._stale:
            self._entries[remote.name] = entry
            self._stale.discard(remote.name)
            self._changes += 1

    async def _resources(self, remote: Remote) -> Object:
        who = remote_user.fields_of(DISCOVERER)
        status, fields, body = await self._connector.fetch(
            remote, "/apis", [("Accept", discovery.ACCEPT), *who], DISCOVERY_TIMEOUT_S
        )
        if status == 200 and "APIGroupDiscoveryList" in fields.get("Content-Type", ""):
            found = discovery.of_aggregated(orjson.loads(body))
            return found.get((remote.group, remote.version)) or {"version": remote.version}
        status, _, body = await self._connector.fetch(
            remote, remote.path, [("Accept", "application/json"), *who], DISCOVERY_TIMEOUT_S
        )
        if status != 200:
            raise Unreachable(f"GET {remote.path}: status {status}")
        return discovery.of_legacy(remote.group, remote.version, orjson.loads(body))

    def lose(self, remote: Remote) -> None:
        """Note that a remote does not answer."""
        if remote.name not in self._stale:
            self._stale.add(remote.name)
            self._changes += 1

    def forget(self, name: str) -> None:
        """A remote is gone."""
        self._stale.discard(name)
        self._older.pop(name, None)
        if self._entries.pop(name, None) is not None:
            self._changes += 1
        if (self._addresses.pop(name, None), self._parts.pop(name, None)) != (None, None):
            self.openapi_generation += 1

    # OpenAPI.

    def openapi_addresses(self) -> dict[str, str]:
        """Return addresses of version 3 documents by name."""
        return {key: url for found in self._addresses.values() for key, url in found.items()}

    def openapi_parts(self) -> Sequence[Part]:
        """Return what the remotes add to the version 2 document."""
        return [part for _, part in self._parts.values()]

    def openapi_older(self) -> Mapping[str, Part]:
        """Return version 3 of what its server has in version 2 alone, by the name of the document."""
        return {name: converted for name, _, converted in self._older.values()}

    def openapi_owner(self, name: str) -> Remote | None:
        """Return who has a version 3 document. name: "apis/<group>/<version>"."""
        prefix, _, rest = name.partition("/")
        remote = self._table.find(*rest.split("/")) if prefix == "apis" and rest.count("/") == 1 else None
        return remote if remote is not None and name in self._addresses.get(remote.name, {}) else None

    async def learn_openapi(self, remote: Remote) -> None:
        """Read a remote's OpenAPI. Never raises: without it, clients know less."""
        who = remote_user.fields_of(READER)
        try:
            is_older = await self._learn_index(remote, who)
            await self._learn_part(remote, who)
            self._convert(remote, is_older=is_older)
        except (Unreachable, *_WRONG) as err:
            log.warning("openapi not read: name=%s error=%s", remote.name, err)

    async def _learn_index(self, remote: Remote, who: Sequence[tuple[str, str]]) -> bool:
        """Read which version 3 documents there are; tell whether the remote knows of no such version."""
        accept = ("Accept", "application/json")
        status, _, body = await self._connector.fetch(
            remote, "/openapi/v3", [accept, *who], OPENAPI_TIMEOUT_S
        )
        name = remote.path.removeprefix("/")
        found = openapi.addresses(orjson.loads(body), [name]) if status == 200 else {}
        if found != self._addresses.get(remote.name, {}):
            self._addresses[remote.name] = found
            self.openapi_generation += 1
        return status == 404

    async def _learn_part(self, remote: Remote, who: Sequence[tuple[str, str]]) -> None:
        fields = [("Accept", "application/json"), *who]
        known = self._parts.get(remote.name)
        if known and known[0]:
            fields.append(("If-None-Match", known[0]))
        status, head, body = await self._connector.fetch(remote, "/openapi/v2", fields, OPENAPI_TIMEOUT_S)
        if status == 304:
            return
        part = openapi.cut(orjson.loads(body), [remote.path]) if status == 200 else Part()
        etag = head.get("Etag", "") if status == 200 else ""
        if known is None or part != known[1]:
            openapi.check(part)
            self.openapi_generation += 1
        self._parts[remote.name] = (etag, part if known is None or part != known[1] else known[1])

    def _convert(self, remote: Remote, *, is_older: bool) -> None:
        part, known = self._parts[remote.name][1], self._older.get(remote.name)
        if not is_older or not part.paths:
            self.openapi_generation += self._older.pop(remote.name, None) is not None
        elif known is None or known[1] is not part:
            self._older[remote.name] = (remote.path.removeprefix("/"), part, openapi_v3.of(part))
            self.openapi_generation += 1
