"""Defaults of limits, scaling, network rules, RBAC, priorities. Pure.

Source: pkg/apis/{core,autoscaling,networking,rbac,scheduling,flowcontrol,resource}/*/defaults.go.
"""

from __future__ import annotations

from typing import Any, Final

_RBAC: Final = "rbac.authorization.k8s.io"
_SHARES: Final = 30
_QUEUING: Final = {"handSize": 8, "queues": 64, "queueLengthLimit": 50}


def limit_range(obj: dict[str, Any]) -> None:
    """Fill in a LimitRange: what containers get follows from what they may have."""
    for item in (obj.get("spec") or {}).get("limits") or ():
        if item.get("type") != "Container":
            continue
        default = {**(item.get("max") or {}), **(item.get("default") or {})}
        request = {**(item.get("min") or {}), **default, **(item.get("defaultRequest") or {})}
        if default:
            item["default"] = default
        if request:
            item["defaultRequest"] = request


def horizontal_pod_autoscaler(obj: dict[str, Any]) -> None:
    """Fill in a HorizontalPodAutoscaler of autoscaling/v2."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is not None:
        up = [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ]
        down = [{"type": "Percent", "value": 100, "periodSeconds": 15}]
        base = {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": up}
        behavior["scaleUp"] = {**base, **(behavior.get("scaleUp") or {})}
        behavior["scaleDown"] = {"selectPolicy": "Max", "policies": down, **(behavior.get("scaleDown") or {})}


def network_policy(obj: dict[str, Any]) -> None:
    """Fill in a NetworkPolicy."""
    spec = obj.setdefault("spec", {})
    for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
        for port in rule.get("ports") or ():
            port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def ingress_class(obj: dict[str, Any]) -> None:
    """Fill in an IngressClass."""
    parameters = (obj.get("spec") or {}).get("parameters")
    if parameters is not None:
        parameters.setdefault("scope", "Cluster")


def role_binding(obj: dict[str, Any]) -> None:
    """Fill in a RoleBinding or ClusterRoleBinding."""
    ref = obj.get("roleRef")
    if ref is not None and not ref.get("apiGroup"):
        ref["apiGroup"] = _RBAC
    for subject in obj.get("subjects") or ():
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = _RBAC


def priority_class(obj: dict[str, Any]) -> None:
    """Fill in a PriorityClass."""
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")


def flow_schema(obj: dict[str, Any]) -> None:
    """Fill in a FlowSchema."""
    spec = obj.setdefault("spec", {})
    if not spec.get("matchingPrecedence"):
        spec["matchingPrecedence"] = 1000


def priority_level(obj: dict[str, Any]) -> None:
    """Fill in a PriorityLevelConfiguration."""
    spec = obj.setdefault("spec", {})
    for key, shares in (("exempt", 0), ("limited", _SHARES)):
        if spec.get(key) is not None:
            spec[key].setdefault("nominalConcurrencyShares", shares)
            spec[key].setdefault("lendablePercent", 0)
    queuing = ((spec.get("limited") or {}).get("limitResponse") or {}).get("queuing")
    if queuing is not None:
        for key, value in _QUEUING.items():
            queuing[key] = queuing.get(key) or value


def resource_claim(obj: dict[str, Any]) -> None:
    """Fill in a ResourceClaim."""
    _devices((obj.get("spec") or {}).get("devices") or {})


def resource_claim_template(obj: dict[str, Any]) -> None:
    """Fill in a ResourceClaimTemplate."""
    _devices(((obj.get("spec") or {}).get("spec") or {}).get("devices") or {})


def _devices(devices: dict[str, Any]) -> None:
    for request in devices.get("requests") or ():
        exactly = [request["exactly"]] if request.get("exactly") is not None else []
        for each in (*exactly, *(request.get("firstAvailable") or ())):
            for toleration in each.get("tolerations") or ():
                if not toleration.get("operator"):
                    toleration["operator"] = "Equal"
            if not each.get("allocationMode"):
                each["allocationMode"] = "ExactCount"
            if each["allocationMode"] == "ExactCount" and not each.get("count"):
                each["count"] = 1
