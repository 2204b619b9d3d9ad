"""Strategy of Services. Pure. Source: pkg/registry/core/service/strategy.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.api.strategy.rules import Rules


class ServiceRules(Rules):
    """An update that leaves allocated values out keeps them."""

    def on_create(self, obj: dict[str, Any]) -> None:
        """Start without load balancers."""
        obj["status"] = {"loadBalancer": {}}

    def on_update(self, new: dict[str, Any], old: Object) -> None:
        """Carry over cluster IPs and node ports that the client did not repeat."""
        spec, before = new.setdefault("spec", {}), objects.spec(old)
        if "ExternalName" not in (spec.get("type"), before.get("type")):
            for key in ("clusterIP", "clusterIPs"):
                if not spec.get(key) and before.get(key):
                    spec[key] = before[key]
            if spec.get("type") in ("NodePort", "LoadBalancer"):
                _keep_node_ports(spec, before)
        first, same = (
            spec.get("clusterIP"),
            (spec.get("clusterIPs") or []) == (before.get("clusterIPs") or []),
        )
        if first and same and first != before.get("clusterIP"):
            spec["clusterIPs"] = [first]  # an old client, which knows one only
        kept = before.get("healthCheckNodePort")
        if kept and _needs_health_check(spec) and _needs_health_check(before):
            spec["healthCheckNodePort"] = spec.get("healthCheckNodePort") or kept


def _needs_health_check(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _keep_node_ports(spec: dict[str, Any], before: Object) -> None:
    taken = {p["nodePort"] for p in spec.get("ports", ()) if p.get("nodePort")}
    by_port = {(p.get("protocol"), p.get("port")): p.get("nodePort") for p in before.get("ports", ())}
    for port in spec.get("ports", ()):
        kept = by_port.get((port.get("protocol"), port.get("port")))
        if not port.get("nodePort") and kept and kept not in taken:
            port["nodePort"] = kept
            taken.add(kept)


RULES: Final = ServiceRules()
