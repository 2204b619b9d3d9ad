"""Which rules each kind has beyond its metadata. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import cluster, config, endpoints, event, lease, names, pod, service, workloads


def _nothing(obj: Object) -> list[FieldError]:
    return []


def _no_change(new: Object, old: Object) -> list[FieldError]:
    return []


@dataclass(frozen=True, slots=True)
class Kind:
    """The rules of one kind: its names, a new object, a replacement, a new status."""

    name: Callable[[str], list[str]]
    create: Callable[[Object], list[FieldError]] = _nothing
    update: Callable[[Object, Object], list[FieldError]] = _no_change
    status: Callable[[Object, Object], list[FieldError]] = _no_change


BY_NAME: Final[Mapping[str, Kind]] = {
    "pods": Kind(names.dns_subdomain, pod.validate, pod.validate_update),
    "services": Kind(names.dns_label, service.validate, service.validate_update),
    "namespaces": Kind(names.dns_label),
    "nodes": Kind(names.dns_subdomain, cluster.validate_node, cluster.validate_node_update),
    "configmaps": Kind(names.dns_subdomain, config.validate_config_map, config.validate_config_map_update),
    "secrets": Kind(names.dns_subdomain, config.validate_secret, config.validate_secret_update),
    "serviceaccounts": Kind(names.dns_subdomain),
    "endpoints": Kind(names.dns_subdomain, endpoints.validate),
    "events": Kind(names.dns_subdomain, event.validate),
    "events.events.k8s.io": Kind(names.dns_subdomain, event.validate_new_style),
    "leases.coordination.k8s.io": Kind(names.dns_subdomain, lease.validate),
    "endpointslices.discovery.k8s.io": Kind(
        names.dns_subdomain, endpoints.validate_slice, endpoints.validate_slice_update
    ),
    "deployments.apps": Kind(
        names.dns_subdomain, workloads.validate_deployment, workloads.validate_selector_update
    ),
    "replicasets.apps": Kind(
        names.dns_subdomain, workloads.validate_replica_set, workloads.validate_selector_update
    ),
}
