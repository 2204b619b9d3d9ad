"""Puts the parts of one server together; without listening, so that tests can do the same."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.registry import Collector

from nanokube.api import strategy
from nanokube.apiserver import bootstrap, bootstrap_policy
from nanokube.apiserver.admission.certificates import Certificates
from nanokube.apiserver.admission.chain import Chain, Plugin
from nanokube.apiserver.admission.classes import DefaultClasses, RuntimeClass
from nanokube.apiserver.admission.configured import Configured
from nanokube.apiserver.admission.default_tolerations import DefaultTolerationSeconds
from nanokube.apiserver.admission.escalation import Escalation
from nanokube.apiserver.admission.limit_ranger import LimitRanger
from nanokube.apiserver.admission.lookup import SHARED, Lookup
from nanokube.apiserver.admission.matching.versions import Versions
from nanokube.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from nanokube.apiserver.admission.node_features import NodeFeatures
from nanokube.apiserver.admission.node_restriction import NodeRestriction
from nanokube.apiserver.admission.node_taint import NodeTaint
from nanokube.apiserver.admission.pod_resize import PodResize
from nanokube.apiserver.admission.pod_security import PodSecurity
from nanokube.apiserver.admission.policies.status import PolicyStatus
from nanokube.apiserver.admission.policies.warm import Warm
from nanokube.apiserver.admission.priority import Priority
from nanokube.apiserver.admission.replicas import Replicas
from nanokube.apiserver.admission.resource_quota import ResourceQuota
from nanokube.apiserver.admission.service_account import ServiceAccount
from nanokube.apiserver.admission.volumes import ClaimResize, StorageProtection
from nanokube.apiserver.aggregator.aggregator import Aggregator
from nanokube.apiserver.app import App
from nanokube.apiserver.audit import audited
from nanokube.apiserver.audit.auditor import Auditor, open_auditor
from nanokube.apiserver.authn.authenticator import Authenticator
from nanokube.apiserver.authn.bootstrap_tokens import BootstrapTokens
from nanokube.apiserver.authn.front_proxy import FrontProxies
from nanokube.apiserver.authn.serviceaccount import Tokens
from nanokube.apiserver.authn.tokens import StaticTokens
from nanokube.apiserver.authz.aggregation import Aggregation
from nanokube.apiserver.authz.authorizer import Authorizer, Union
from nanokube.apiserver.authz.node import Masters, NodeAuthorizer
from nanokube.apiserver.authz.rbac import Rbac
from nanokube.apiserver.cache.caches import Caches
from nanokube.apiserver.config import ApiServerConfig
from nanokube.apiserver.connect import ConnectBackend
from nanokube.apiserver.endpoints.reviews import Reviews
from nanokube.apiserver.endpoints.subresources import TokenRequests
from nanokube.apiserver.extensions.conversion_webhook import ConversionWebhook
from nanokube.apiserver.extensions.convert import Converter
from nanokube.apiserver.extensions.definitions import NAME as DEFINITIONS
from nanokube.apiserver.extensions.kinds import Kinds
from nanokube.apiserver.extensions.lifecycle import Lifecycle
from nanokube.apiserver.extensions.local_services import LocalServices
from nanokube.apiserver.flowcontrol.controller import Controller
from nanokube.apiserver.flowcontrol.gate import Gate
from nanokube.apiserver.flowcontrol.report import FlowMetrics
from nanokube.apiserver.health import Health
from nanokube.apiserver.metrics import Metrics
from nanokube.apiserver.nonresource import NonResource
from nanokube.apiserver.outgoing.client import Client
from nanokube.apiserver.outgoing.services import Services
from nanokube.apiserver.registry.address_pools import AddressPools
from nanokube.apiserver.registry.addresses import Addresses
from nanokube.apiserver.registry.admin_access import DEVICE_CLAIMS, AdminAccess
from nanokube.apiserver.registry.claims import Claims
from nanokube.apiserver.registry.hooks import Hooks
from nanokube.apiserver.registry.registry import Registry, draw_letters
from nanokube.apiserver.registry.service_ranges import ServiceRanges
from nanokube.apiserver.registry.services import ServiceHooks
from nanokube.apiserver.token_secrets import TokenSecrets
from nanokube.kit import addresses
from nanokube.kit.clock import Clock
from nanokube.storage.encryption.metrics import EncryptionMetrics
from nanokube.storage.encryption.store import EncryptedStore
from nanokube.storage.store import Store

log = logging.getLogger(__name__)

Find = Callable[[str, str], Mapping[str, Any] | None]


@dataclass(slots=True)
class Server:
    """A server that is ready to be listened for."""

    app: App
    registry: Registry
    caches: Caches
    aggregation: Aggregation
    addresses: Addresses
    policy_status: PolicyStatus
    policies: Warm
    claims: Claims | None
    flow_control: Controller
    definitions: Lifecycle
    local_services: LocalServices
    token_secrets: TokenSecrets
    outgoing: Client
    aggregator: Aggregator
    auditor: Auditor | None

    async def close(self) -> None:
        """Close the connections to webhooks and extension servers."""
        await self.outgoing.close()
        await self.aggregator.close()
        if self.auditor is not None:
            await self.auditor.close()


def admission(
    lookup: Lookup,
    draw: Callable[[str, int], str],
    authorizer: Authorizer,
    rbac: Rbac,
    configured: Sequence[Plugin],
    quota: ResourceQuota,
    caches: Caches,
) -> Chain:
    """List the admission plugins, in upstream's order: pkg/kubeapiserver/options/plugins.go."""
    suffix = lambda: draw(strategy.SUFFIX_ALPHABET, strategy.RANDOM_SUFFIX_LENGTH)  # noqa: E731
    find = lookup.find
    plugins: Sequence[Plugin] = (
        NamespaceLifecycle(find),
        LimitRanger(lookup),
        ServiceAccount(find, suffix),
        NodeTaint(),
        NodeRestriction(find, authorizer),
        PodSecurity(lookup),
        Priority(lookup),
        DefaultTolerationSeconds(),
        DefaultClasses(lookup),
        StorageProtection(),
        ClaimResize(lookup),
        RuntimeClass(lookup),
        Certificates(authorizer),
        Escalation(authorizer, rbac),
        NodeFeatures(find),
        PodResize(find),
        *configured,
        quota,
    )
    made_of = dict.fromkeys(name for plugin in plugins for name in plugin.made_of or ())
    return Chain(plugins, replicas=Replicas([caches.of(name) for name in made_of], suffix))


async def assemble(config: ApiServerConfig, store: Store, clock: Clock) -> Server:
    """Read the keys, fill the caches, make the bootstrap objects. Raises OSError, ValueError, ApiError."""
    caches = Caches(store)
    await caches.start()
    kinds = Kinds(is_shared=store.is_shared)
    definitions = caches.of(DEFINITIONS)
    kinds.load((item.object() for item in definitions.scan()), store.revision)
    definitions.attach(kinds)
    outgoing = Client(Services(caches))
    converter = Converter(kinds, ConversionWebhook(outgoing))
    services = _services(config, caches)
    lookup = _lookup(caches)
    rbac = Rbac(caches)
    policies = caches.of("networkpolicies.networking.k8s.io")
    nodes = NodeAuthorizer(caches.pods_of_node, lookup.find, lambda: len(policies) > 0)
    authorizer = Union((Masters(), nodes, rbac), rbac.remembered)
    quota = ResourceQuota(lookup)
    configured = Configured(caches, Versions(kinds, converter), authorizer, outgoing)
    auditor = open_auditor(config.audit, clock)
    chain = admission(lookup, draw_letters, authorizer, rbac, configured.plugins, quota, caches)
    plugins = chain if auditor is None else audited.AuditedChain(chain)
    devices = AdminAccess(lookup.find)
    hooks: dict[str, Hooks] = {"services": services, **dict.fromkeys(DEVICE_CLAIMS, devices)}
    registry = Registry(store, caches, clock, plugins, hooks, kinds=kinds, converter=converter)
    quota.serve(registry)
    await bootstrap.run(registry, config)
    await bootstrap_policy.run(registry)
    aggregation = Aggregation(registry)
    await aggregation.settle()
    tokens = _tokens(config, lookup.find)
    static = StaticTokens.read(config.token_file) if config.token_file else None
    reviews = Reviews(authorizer, rbac, tokens, static, config.issuer, BootstrapTokens(lookup.find))
    gate = Gate(
        clock,
        lambda name: len(caches.of(name)),
        lambda name: caches.of(name).watcher_count,
        kinds.find,
    )
    flow_control = Controller(registry, gate)
    await flow_control.settle()
    aggregator = Aggregator(registry, config)
    collectors = (*configured.collectors, chain.times, aggregator.monitor.unavailable)
    app = _app(config, registry, authorizer, reviews, tokens, static, gate, collectors, aggregator, auditor)
    return Server(
        app,
        registry,
        caches,
        aggregation,
        Addresses(registry),
        PolicyStatus(registry),
        configured.warm,
        Claims(store, caches, services) if store.is_shared else None,
        flow_control,
        Lifecycle(registry),
        LocalServices(registry),
        TokenSecrets(registry, config.client_ca, tokens.sign),
        outgoing,
        aggregator,
        auditor,
    )


def _services(config: ApiServerConfig, caches: Caches) -> ServiceHooks:
    randomness = random.SystemRandom()
    pools = AddressPools(addresses.split(config.service_cidr), randomness.randrange)
    ServiceRanges(caches, pools)
    services = ServiceHooks(pools, config.node_port_range, randomness.randrange)
    clashes = services.repair(item.object() for item in caches.of("services").scan())
    if clashes:
        log.warning("services own what another has: %s", ", ".join(clashes))
    return services


def _lookup(caches: Caches) -> Lookup:
    def find(resource: str, key: str) -> Mapping[str, Any] | None:
        item = caches.of(resource).find(key)
        if item is None:
            return None
        return item.view() if resource in SHARED else item.object()

    def scan(resource: str, namespace: str) -> Iterator[Mapping[str, Any]]:
        cache = caches.of(resource)
        if not len(cache):
            return iter(())
        found = cache.scan(namespace)
        return (item.view() for item in found) if resource in SHARED else (item.object() for item in found)

    return Lookup(find, scan)


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
    config: ApiServerConfig,
    registry: Registry,
    authorizer: Authorizer,
    reviews: Reviews,
    tokens: Tokens,
    static: StaticTokens | None,
    gate: Gate,
    collectors: Sequence[Collector],
    aggregator: Aggregator,
    auditor: Auditor | None,
) -> App:
    metrics = Metrics(registry.caches.counts, registry.kinds.find, registry.store.size)
    for collector in (FlowMetrics(gate), *collectors):
        metrics.registry.register(collector)
    front_proxies = FrontProxies(config.front_proxy_ca.read_bytes()) if config.front_proxy_ca else None
    bootstrap_tokens = BootstrapTokens(registry.find)
    checks = {"etcd": lambda: registry.store.is_healthy}
    if isinstance(registry.store, EncryptedStore):
        metrics.registry.register(EncryptionMetrics(registry.store))
        checks["kms-providers"] = registry.store.are_plugins_healthy
    parts = (
        registry,
        Authenticator(tokens, static, config.issuer, registry.clock, bootstrap_tokens, front_proxies),
        authorizer,
        reviews,
        TokenRequests(tokens, config.issuer),
        NonResource(config, tokens, metrics, Health(checks), registry.kinds, aggregator.documents),
        metrics,
        ConnectBackend(registry, config),
        gate,
        aggregator,
    )
    if auditor is None:
        return App(*parts)
    for collector in auditor.metrics.collectors:
        metrics.registry.register(collector)
    return audited.AuditedApp(auditor, *parts)
