"""Rows of networking."""

from __future__ import annotations

from typing import Final

from nanokube.api.resource import GroupVersion, Resource

_V1: Final = GroupVersion("networking.k8s.io", "v1")

ROWS: Final[tuple[Resource, ...]] = (
    _V1.kind("IngressClass", "ingressclasses", is_global=True, has_generation=True),
    _V1.kind("Ingress", "ingresses", "ing", has_status=True, has_generation=True),
    _V1.kind("IPAddress", "ipaddresses", "ip", is_global=True),
    _V1.kind("NetworkPolicy", "networkpolicies", "netpol", has_generation=True),
    _V1.kind("ServiceCIDR", "servicecidrs", is_global=True, has_status=True),
)
