"""Objects that the server itself makes and keeps: namespaces, the Services kubernetes and kube-dns.

Source: pkg/controlplane/controller/{systemnamespaces,kubernetesservice}, pkg/controlplane/reconcilers.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nanokube.api import errors, resources
from nanokube.apiserver.admission.priority import CLASSES, SYSTEM_CLASSES
from nanokube.apiserver.authn.user import OWN
from nanokube.apiserver.config import ApiServerConfig
from nanokube.apiserver.registry import create, update
from nanokube.apiserver.registry.call import Call
from nanokube.apiserver.registry.registry import Registry

log = logging.getLogger(__name__)

CIDRS: Final = "servicecidrs.networking.k8s.io"
NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")
_MANAGER: Final = "kube-apiserver"


async def run(registry: Registry, config: ApiServerConfig) -> None:
    """Make what is absent and correct what is wrong. Runs at each start."""
    for name in NAMESPACES:
        await _ensure(registry, "namespaces", {"metadata": {"name": name}})
    for name, (value, about) in SYSTEM_CLASSES.items():
        await _ensure(registry, CLASSES, {"metadata": {"name": name}, "value": value, "description": about})
    await _ensure(
        registry, CIDRS, {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": [config.service_cidr]}}
    )
    for service in (kubernetes_service(config), dns_service(config)):
        await _ensure(registry, "services", service)
    if ipaddress.ip_address(config.advertise_address).is_loopback:
        log.warning("service kubernetes has no endpoint: pods cannot reach %s", config.advertise_address)
        return
    if not registry.store.is_shared:  # else every server adds itself: endpoint_leases.py
        await publish_endpoints(registry, config, [config.advertise_address])


async def publish_endpoints(registry: Registry, config: ApiServerConfig, addresses: Sequence[str]) -> None:
    """Have Service kubernetes lead to the API servers at these addresses. Raises ApiError, StoreError."""
    await _ensure(registry, "endpoints", endpoints(config, addresses), fields=("subsets",))
    found = endpoint_slice(config, addresses)
    await _ensure(registry, "endpointslices.discovery.k8s.io", found, fields=("endpoints", "ports"))


def kubernetes_ip(config: ApiServerConfig) -> str:
    """The first address of the service network."""
    return str(ipaddress.ip_network(config.service_cidr)[1])


def kubernetes_service(config: ApiServerConfig) -> dict[str, Any]:
    """Build Service default/kubernetes."""
    ip = kubernetes_ip(config)
    return {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": ip,
            "clusterIPs": [ip],
            "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": config.port}],
        },
    }


def dns_service(config: ApiServerConfig) -> dict[str, Any]:
    """Build Service kube-system/kube-dns: without selector, since every node answers its address itself."""
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
    ]
    labels = {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
    return {
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": config.dns_ip,
            "clusterIPs": [config.dns_ip],
            "ports": ports,
        },
    }


def endpoints(config: ApiServerConfig, addresses: Sequence[str]) -> dict[str, Any]:
    """Build Endpoints default/kubernetes."""
    port = {"name": "https", "port": config.port, "protocol": "TCP"}
    labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    return {
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "subsets": [{"addresses": [{"ip": each} for each in addresses], "ports": [port]}],
    }


def endpoint_slice(config: ApiServerConfig, addresses: Sequence[str]) -> dict[str, Any]:
    """Build EndpointSlice default/kubernetes."""
    labels = {"kubernetes.io/service-name": "kubernetes"}
    return {
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [each], "conditions": {"ready": True}} for each in addresses],
        "ports": [{"name": "https", "port": config.port, "protocol": "TCP"}],
    }


async def _ensure(
    registry: Registry, resource_name: str, wanted: dict[str, Any], fields: tuple[str, ...] = ()
) -> None:
    resource = resources.get(resource_name)
    metadata = wanted["metadata"]
    call = Call(OWN, resource, metadata.get("namespace", ""), metadata["name"], manager=_MANAGER)
    live = registry.find(resource_name, call.key)
    if live is None:
        wanted = {**wanted, "apiVersion": resource.api_version, "kind": resource.kind}
        try:
            await create.create(registry, call, wanted)
        except errors.ApiError as err:
            if not errors.is_already_exists(err):
                raise
        return
    if any(live.get(name) != wanted[name] for name in fields):
        await update.update(registry, call, lambda old: _merged(old, wanted, fields))


def _merged(old: dict[str, Any], wanted: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {**old, **{name: wanted[name] for name in fields}}
