"""Defaults of Services. Pure. Source: pkg/apis/core/v1/defaults.go.

Cluster IPs, node ports and IP families depend on the cluster's configuration: the API server's allocators
set them.
"""

from __future__ import annotations

from typing import Any, Final

_CLIENT_IP_AFFINITY_S: Final = 10800
_WITH_NODE_PORTS: Final = ("NodePort", "LoadBalancer")


def apply(service: dict[str, Any]) -> None:
    """Fill in a Service."""
    spec = service.setdefault("spec", {})
    _fill_affinity(spec)
    if not spec.get("type"):
        spec["type"] = "ClusterIP"
    for port in spec.get("ports", ()):
        if not port.get("protocol"):
            port["protocol"] = "TCP"
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port", 0)
    _fill_policies(spec)
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        for ingress in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress", ()):
            if ingress.get("ip"):
                ingress.setdefault("ipMode", "VIP")


def _fill_affinity(spec: dict[str, Any]) -> None:
    if not spec.get("sessionAffinity"):
        spec["sessionAffinity"] = "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        if config.get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": _CLIENT_IP_AFFINITY_S}}


def _fill_policies(spec: dict[str, Any]) -> None:
    is_external = spec["type"] in _WITH_NODE_PORTS or (
        spec["type"] == "ClusterIP" and spec.get("externalIPs")
    )
    if is_external and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
