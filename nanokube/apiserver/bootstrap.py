"""Objects that the server itself makes and keeps: namespaces, two Services, the built-in StorageClass.

Source: pkg/controlplane/controller/{systemnamespaces,kubernetesservice}, pkg/controlplane/reconcilers.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nanokube.api import errors, resources, volume_binding
from nanokube.apiserver.admission.priority import CLASSES, SYSTEM_CLASSES
from nanokube.apiserver.authn.user import OWN
from nanokube.apiserver.config import ApiServerConfig
from nanokube.apiserver.registry import create, update
from nanokube.apiserver.registry.call import Call
from nanokube.apiserver.registry.registry import Registry
from nanokube.kit import addresses

log = logging.getLogger(__name__)

STORAGE_CLASSES: Final = "storageclasses.storage.k8s.io"
CIDRS: Final = "servicecidrs.networking.k8s.io"
NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")
_MANAGER: Final = "kube-apiserver"


async def run(registry: Registry, config: ApiServerConfig) -> None:
    """Make what is absent and correct what is wrong. Runs at each start."""
    for name in NAMESPACES:
        await _ensure(registry, "namespaces", {"metadata": {"name": name}})
    for name, (value, about) in SYSTEM_CLASSES.items():
        await _ensure(registry, CLASSES, {"metadata": {"name": name}, "value": value, "description": about})
    await _ensure(registry, STORAGE_CLASSES, storage_class())
    await _ensure(
        registry,
        CIDRS,
        {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": [*addresses.split(config.service_cidr)]}},
    )
    for service in (kubernetes_service(config), dns_service(config)):
        await _ensure(registry, "services", service)
    if ipaddress.ip_address(config.advertise_address).is_loopback:
        log.warning("service kubernetes has no endpoint: pods cannot reach %s", config.advertise_address)
        return
    if not registry.store.is_shared:  # else every server adds itself: endpoint_leases.py
        await publish_endpoints(registry, config, [config.advertise_address])


async def publish_endpoints(registry: Registry, config: ApiServerConfig, servers: Sequence[str]) -> None:
    """Have Service kubernetes lead to the API servers at these addresses. Raises ApiError, StoreError."""
    await _ensure(registry, "endpoints", endpoints(config, servers), fields=("subsets",))
    found = endpoint_slice(config, servers)
    await _ensure(registry, "endpointslices.discovery.k8s.io", found, fields=("endpoints", "ports"))


def kubernetes_ip(config: ApiServerConfig) -> str:
    """The first address of the service network of the primary family."""
    return str(ipaddress.ip_network(addresses.split(config.service_cidr)[0])[1])


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


def storage_class() -> dict[str, Any]:
    """Build StorageClass local: what claims get that name no class, unless somebody wants another default."""
    return {
        "metadata": {
            "name": "local",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": volume_binding.LOCAL,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
    }


def dns_service(config: ApiServerConfig) -> dict[str, Any]:
    """Build Service kube-system/kube-dns: without selector, since every node answers its address itself."""
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
    ]
    ips = [*addresses.split(config.dns_ip)]
    labels = {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
    return {
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": ips[0],
            "clusterIPs": ips,
            "ipFamilyPolicy": "PreferDualStack" if len(ips) > 1 else "SingleStack",
            "ports": ports,
        },
    }


def endpoints(config: ApiServerConfig, servers: Sequence[str]) -> dict[str, Any]:
    """Build Endpoints default/kubernetes."""
    port = {"name": "https", "port": config.port, "protocol": "TCP"}
    labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    return {
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "subsets": [{"addresses": [{"ip": each} for each in servers], "ports": [port]}],
    }


def endpoint_slice(config: ApiServerConfig, servers: Sequence[str]) -> dict[str, Any]:
    """Build EndpointSlice default/kubernetes."""
    labels = {"kubernetes.io/service-name": "kubernetes"}
    return {
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "addressType": f"IPv{ipaddress.ip_address(servers[0]).version}",
        "endpoints": [{"addresses": [each], "conditions": {"ready": True}} for each in servers],
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
