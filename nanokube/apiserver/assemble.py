"""Puts the parts of one server together; without listening, so that tests can do the same."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nanokube.api import strategy
from nanokube.apiserver import bootstrap
from nanokube.apiserver.admission.chain import Chain
from nanokube.apiserver.admission.default_tolerations import DefaultTolerationSeconds
from nanokube.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from nanokube.apiserver.admission.node_restriction import NodeRestriction
from nanokube.apiserver.admission.priority import Priority
from nanokube.apiserver.admission.service_account import ServiceAccount
from nanokube.apiserver.app import App
from nanokube.apiserver.authn.authenticator import Authenticator
from nanokube.apiserver.authn.serviceaccount import Tokens
from nanokube.apiserver.authn.tokens import StaticTokens
from nanokube.apiserver.authz.authorizer import Union
from nanokube.apiserver.authz.builtin import BuiltinAuthorizer
from nanokube.apiserver.cache.caches import Caches
from nanokube.apiserver.config import ApiServerConfig
from nanokube.apiserver.connect import ConnectBackend
from nanokube.apiserver.endpoints.reviews import Reviews
from nanokube.apiserver.endpoints.subresources import TokenRequests
from nanokube.apiserver.metrics import Metrics
from nanokube.apiserver.nonresource import NonResource
from nanokube.apiserver.registry.registry import Registry
from nanokube.apiserver.registry.services import ServiceHooks
from nanokube.kit.clock import Clock
from nanokube.storage.store import Store

log = logging.getLogger(__name__)

Find = Callable[[str, str], dict[str, Any] | None]


@dataclass(slots=True)
class Server:
    """A server that is ready to be listened for."""

    app: App
    registry: Registry
    caches: Caches


def admission(find: Find, draw: Callable[[str, int], str]) -> Chain:
    """List the admission plugins, in order."""
    suffix = lambda: draw(strategy.SUFFIX_ALPHABET, strategy.RANDOM_SUFFIX_LENGTH)  # noqa: E731
    return Chain(
        (
            NamespaceLifecycle(find),
            ServiceAccount(find, suffix),
            NodeRestriction(find),
            DefaultTolerationSeconds(),
            Priority(),
        )
    )


async def assemble(config: ApiServerConfig, store: Store, clock: Clock) -> Server:
    """Read the keys, fill the caches, make the bootstrap objects. Raises OSError, ValueError, ApiError."""
    caches = Caches(store)
    await caches.start()
    randomness = random.SystemRandom()
    services = ServiceHooks(config.service_cidr, config.node_port_range, randomness.randrange)
    clashes = services.repair(item.object() for item in caches.of("services").scan())
    if clashes:
        log.warning("services own what another has: %s", ", ".join(clashes))

    def find(resource: str, key: str) -> dict[str, Any] | None:
        item = caches.of(resource).find(key)
        return item.object() if item else None

    def draw(alphabet: str, count: int) -> str:
        return "".join(randomness.choice(alphabet) for _ in range(count))

    registry = Registry(store, caches, clock, admission(find, draw), {"services": services})
    await bootstrap.run(registry, config)
    tokens = _tokens(config, find)
    static = StaticTokens.read(config.token_file) if config.token_file else None
    return Server(_app(config, registry, tokens, static, clock), registry, caches)


def _tokens(config: ApiServerConfig, find: Find) -> Tokens:
    def lookup(resource: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        return find(resource, f"{namespace}/{name}" if namespace else name)

    return Tokens(
        config.service_account_public_key.read_bytes(),
        config.service_account_private_key.read_bytes(),
        config.issuer,
        lookup,
    )


def _app(
    config: ApiServerConfig, registry: Registry, tokens: Tokens, static: StaticTokens | None, clock: Clock
) -> App:
    authorizer = Union((BuiltinAuthorizer(registry.pods_of_node),))
    metrics = Metrics(registry.caches.counts)
    checks = {"ping": lambda: True, "storage": lambda: registry.store.is_healthy}
    return App(
        registry,
        Authenticator(tokens, static, config.issuer, clock),
        authorizer,
        Reviews(authorizer, tokens, static, config.issuer),
        TokenRequests(tokens, config.issuer),
        NonResource(config, tokens, metrics, checks),
        metrics,
        ConnectBackend(registry, config),
    )
