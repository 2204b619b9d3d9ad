"""Default values of built-in kinds, applied to a decoded object in place. Pure.

The façade of this package: one file a kind or family; adding a kind is a row in the table below.
Source: pkg/apis/*/v1/defaults.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from nanokube.api import facts, zeros
from nanokube.api.defaults import core, pod, service, workloads
from nanokube.api.resources import Resource

_BY_NAME: Final[Mapping[str, Callable[[dict[str, Any]], None]]] = {
    "pods": pod.apply,
    "services": service.apply,
    "endpoints": core.endpoints,
    "secrets": core.secret,
    "namespaces": core.namespace,
    "nodes": core.node,
    "deployments.apps": workloads.deployment,
    "replicasets.apps": workloads.replica_set,
    "endpointslices.discovery.k8s.io": core.endpoint_slice,
}


def apply(resource: Resource, obj: dict[str, Any]) -> None:
    """Fill in the defaults of a kind, and the structs that are there even if empty, in place."""
    name = facts.name_of(resource.group, resource.version, resource.kind)
    if name is not None:
        zeros.fill(name, obj)
    found = _BY_NAME.get(resource.name)
    if found is not None:
        found(obj)
