"""The API server as a component: opens its store, listens, serves until cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import logging
import resource
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Never

from nanokube.apiserver.app import failed, refused
from nanokube.apiserver.assemble import assemble
from nanokube.apiserver.config import ApiServerConfig
from nanokube.apiserver.endpoint_leases import EndpointLeases
from nanokube.kit import addresses
from nanokube.kit.clock import SYSTEM, Clock
from nanokube.kit.http.server import Limits, Server
from nanokube.kit.tls import follow
from nanokube.storage import maintenance
from nanokube.storage.encryption import store as encryption
from nanokube.storage.etcd import store as etcd_store
from nanokube.storage.etcd.settings import EtcdSettings
from nanokube.storage.memory import MemoryStore
from nanokube.storage.sqlite.store import SqliteStore
from nanokube.storage.store import Store

__all__ = ["ApiServerConfig", "run"]

log = logging.getLogger(__name__)

SHUTDOWN_GRACE_S = 5.0
_OTHER_FILES = 512  # store, kubelet connections, handshakes under way


async def run(
    config: ApiServerConfig,
    *,
    on_ready: Callable[[str, int], None] | None = None,
    clock: Clock = SYSTEM,
) -> Never:
    """Serve until cancelled.

    on_ready: called once with the address bound, when requests are answered.
    Raises OSError (address or store in use), ValueError, sqlite3.Error, ssl.SSLError, StoreError.
    """
    tls = tls_context(config)
    async with opened(config, clock) as store:
        parts = await assemble(config, store, clock)
        _keep_collections_short()
        async with (
            asyncio.TaskGroup() as group,
            Server(
                parts.app.handle,
                limits=_limits(),
                streams_body=parts.app.streams_body,
                on_error=failed,
                on_refusal=refused,
            ) as server,
        ):
            group.create_task(maintenance.run(store, clock))
            group.create_task(parts.caches.tick(clock))
            group.create_task(parts.aggregation.run())
            group.create_task(parts.flow_control.run())
            group.create_task(parts.policies.run(), name="policies")
            group.create_task(parts.token_secrets.run(), name="token secrets")
            group.create_task(parts.addresses.run())
            group.create_task(parts.policy_status.run())
            group.create_task(parts.definitions.run())
            group.create_task(parts.local_services.run())
            group.create_task(parts.aggregator.run())
            if parts.claims is not None:
                group.create_task(parts.claims.run())
            if parts.auditor is not None:
                group.create_task(parts.auditor.run(), name="audit")
            group.create_task(follow(tls, config.tls_cert, config.tls_key), name="serving certificate")
            leases = EndpointLeases(parts.registry, config, clock) if store.is_shared else None
            if leases is not None:
                group.create_task(leases.run(), name="endpoint lease")
            host, port = "", config.port
            for address in addresses.split(config.bind_address):
                host, port = await server.listen(address, port, tls)
            log.info("serving address=%s:%d objects=%d", host, port, sum(parts.caches.counts().values()))
            group.create_task(parts.app.prepare(), name="documents")
            if on_ready is not None:
                on_ready(host, port)
            try:
                await server.wait()
            finally:
                parts.app.stop()
                if leases is not None:
                    await asyncio.shield(leases.leave())
                await asyncio.shield(server.close(SHUTDOWN_GRACE_S))
                await parts.close()
    raise AssertionError("unreachable")


def _keep_collections_short() -> None:
    """The tables read so far live for ever; collecting them again and again costs latency.

    Collecting the middle generation goes through what lived on of 5 times 50,000: 25 ms; of 20 times, 100 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 5, 200)


@contextlib.asynccontextmanager
async def opened(config: ApiServerConfig, clock: Clock = SYSTEM) -> AsyncIterator[Store]:
    """Open the store of a server, with its values encrypted as configured, until the block ends.

    Raises OSError, sqlite3.Error, StoreError, ConfigurationError.
    """
    async with _bare(config) as store:
        if config.encryption is None:
            yield store
            return
        async with encryption.opened(store, config.encryption, clock) as encrypted:
            yield encrypted


@contextlib.asynccontextmanager
async def _bare(config: ApiServerConfig) -> AsyncIterator[Store]:
    if isinstance(config.store, EtcdSettings):
        async with etcd_store.opened(config.store) as shared:
            yield shared
        return
    store: Store = MemoryStore() if config.store is None else await SqliteStore.open(config.store)
    try:
        yield store
    finally:
        await store.close()


def _limits() -> Limits:
    """Bound the connections by the file descriptors that this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    default = Limits()
    if hard == resource.RLIM_INFINITY:
        return default
    return dataclasses.replace(default, connections=max(64, min(default.connections, hard - _OTHER_FILES)))


def tls_context(config: ApiServerConfig) -> ssl.SSLContext:
    """Build the server's TLS: 1.2 and up, client certificates asked for but not demanded."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.tls_cert, config.tls_key)
    context.load_verify_locations(config.client_ca)
    if config.front_proxy_ca is not None:
        context.load_verify_locations(config.front_proxy_ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context
