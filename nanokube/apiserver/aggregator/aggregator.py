"""Group-versions that other servers serve behind this one: everything of them in one place.

APIServices ── table ──┬── proxy: requests below /apis/<group>/<version>
                       ├── monitor: condition Available, what is served
                       └── documents: discovery, OpenAPI
"""

from __future__ import annotations

import asyncio
from typing import Never

from nanokube.apiserver.aggregator.authentication_config import AuthenticationConfig
from nanokube.apiserver.aggregator.connector import Connector
from nanokube.apiserver.aggregator.documents import READER, Documents
from nanokube.apiserver.aggregator.monitor import Monitor
from nanokube.apiserver.aggregator.proxy import Proxy
from nanokube.apiserver.aggregator.table import NAME, Remote, Table
from nanokube.apiserver.authn.user import User
from nanokube.apiserver.config import ApiServerConfig
from nanokube.apiserver.outgoing.services import Services
from nanokube.apiserver.registry.registry import Registry
from nanokube.apiserver.requestinfo import RequestInfo
from nanokube.kit.http.message import Answer, Request

_OPENAPI = "/openapi/v3/"


class Aggregator:
    """One a server; close it in the end."""

    def __init__(self, registry: Registry, config: ApiServerConfig) -> None:
        self.table = Table()
        cache = registry.caches.of(NAME)
        self.table.load(item.object() for item in cache.scan())
        cache.attach(self.table)
        services = Services(registry.caches)
        self._connector = Connector(services, config.front_proxy_cert, config.front_proxy_key)
        self.documents = Documents(self.table, self._connector)
        self._proxy = Proxy(self._connector)
        self.monitor = Monitor(registry, self.table, self._connector, self.documents)
        self._published = AuthenticationConfig(registry, config)

    async def run(self) -> Never:
        """Look after the remotes until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.monitor.run(), name="api services")
            group.create_task(self._published.run(), name="authentication of extension servers")
        raise AssertionError("unreachable")

    def find(self, info: RequestInfo) -> Remote | None:
        """Return who answers a path, unless it is this server."""
        if not self.table:
            return None
        if info.is_resource:
            return self.table.find(info.group, info.version)
        parts = info.path.strip("/").split("/")
        if len(parts) == 3 and parts[0] == "apis":
            return self.table.find(parts[1], parts[2])
        if info.path.startswith(_OPENAPI):
            return self.documents.openapi_owner(info.path.removeprefix(_OPENAPI))
        return None

    def streams(self, target: str) -> bool:
        """Tell whether the body of a request for target is to be read as fast as a remote takes it."""
        if not self.table:
            return False
        parts = target.split("/", 4)
        return len(parts) > 4 and parts[1] == "apis" and self.table.find(parts[2], parts[3]) is not None

    async def forward(self, request: Request, info: RequestInfo, user: User, remote: Remote) -> Answer:
        """Answer a request that a remote serves. Raises ApiError."""
        who = READER if info.path.startswith(_OPENAPI) else user
        available = self.table.is_available(remote)
        return await self._proxy.forward(request, info, who, remote, is_available=available)

    async def close(self) -> None:
        """Close all connections."""
        await self._connector.close()
