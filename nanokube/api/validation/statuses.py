"""Validation of statuses of workloads, Services, Namespaces, quotas and budgets, that /status writes. Pure.

Source: pkg/apis/{apps,core,policy}/validation/validation.go, Validate*StatusUpdate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from nanokube.api import field, objects, quantity
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import conditions, container_resources, formats, metadata, names, quota

_IP_MODES: Final = ("Proxy", "VIP")
_RESIZE_STEPS: Final = (
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
)
_TOO_MANY: Final = "cannot be greater than status.replicas"


def deployment(new: Object, old: Object) -> list[FieldError]:
    """Check the status of a Deployment."""
    counts = "observedGeneration replicas updatedReplicas readyReplicas availableReplicas"
    found = _counts(new, f"{counts} unavailableReplicas terminatingReplicas collisionCount".split())
    found += _within(new, ("updatedReplicas", "readyReplicas", "availableReplicas"), "readyReplicas")
    return found + _collisions(new, old)


def replica_set(new: Object, old: Object) -> list[FieldError]:
    """Check the status of a ReplicaSet or ReplicationController."""
    counts = "replicas fullyLabeledReplicas readyReplicas availableReplicas observedGeneration"
    found = _counts(new, f"{counts} terminatingReplicas".split())
    return found + _within(
        new, ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"), "readyReplicas"
    )


def stateful_set(new: Object, old: Object) -> list[FieldError]:
    """Check the status of a StatefulSet."""
    replicas = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    found = _counts(new, ("replicas", *replicas, "observedGeneration", "collisionCount"))
    return found + _within(new, replicas, "status.readyReplicas") + _collisions(new, old)


def daemon_set(new: Object, old: Object) -> list[FieldError]:
    """Check the status of a DaemonSet."""
    counts = "currentNumberScheduled numberMisscheduled desiredNumberScheduled numberReady observedGeneration"
    rest = "updatedNumberScheduled numberAvailable numberUnavailable collisionCount"
    return _counts(new, f"{counts} {rest}".split()) + _collisions(new, old)


def budget(new: Object, old: Object) -> list[FieldError]:
    """Check the status of a PodDisruptionBudget."""
    found = conditions.validate(objects.conditions(new), "status.conditions")
    return found + _counts(new, ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"))


def resource_quota(new: Object, old: Object) -> list[FieldError]:
    """Check the amounts in the status of a ResourceQuota."""
    status = objects.status(new)
    return [
        error
        for part in ("hard", "used")
        for name, amount in (status.get(part) or {}).items()
        for error in quota.amount(name, amount, f"status.{part}[{name}]")
    ]


def claim(new: Object, old: Object) -> list[FieldError]:
    """Check the amounts in the status of a PersistentVolumeClaim, and how far its growth is."""
    status, path = objects.status(new), "status.allocatedResourceStatuses"
    found = _storage_amounts(status.get("capacity") or {}, "status.capacity")
    for name, step in (status.get("allocatedResourceStatuses") or {}).items():
        found += _claim_resource(name, path)
        if step not in _RESIZE_STEPS:
            found.append(field.not_supported(path, name, _RESIZE_STEPS))
    path = "status.allocatedResources"
    for name, amount in (status.get("allocatedResources") or {}).items():
        found += _claim_resource(name, path) or _storage_amounts({name: amount}, path)
    return found


def _storage_amounts(amounts: Mapping[str, str], path: str) -> list[FieldError]:
    found = {name: quantity.parse(amount).milli for name, amount in amounts.items()}
    return [
        field.invalid(f"{path}[{name}]", -(-milli // 1000), "must be a valid resource quantity")
        for name, milli in found.items()
        if milli < 0
    ]


def _claim_resource(name: str, path: str) -> list[FieldError]:
    found = formats.each(names.qualified_name, name, path)
    if not found and name != "storage" and container_resources.is_native(name):
        return [field.not_supported(path, name, ("storage",))]
    return found


def node(new: Object, old: Object) -> list[FieldError]:
    """Check what a Node has, and that no address is there twice."""
    status = objects.status(new)
    found = [
        error
        for part in ("capacity", "allocatable")
        for name, amount in (status.get(part) or {}).items()
        for error in container_resources.amount(name, amount, f"status.{part}.{name}")
    ]
    known = set[tuple[str, str]]()
    for index, each in enumerate(status.get("addresses") or ()):
        address = (each.get("type") or "", each.get("address") or "")
        if address in known:
            shown = field.Struct({"Type": address[0], "Address": address[1]})
            found.append(field.duplicate(f"status.addresses[{index}]", shown))
        known.add(address)
    return found


def namespace(new: Object, old: Object) -> list[FieldError]:
    """Check that the phase of a Namespace is that of its deletion."""
    phase = objects.status(new).get("phase") or ""
    is_deleting = objects.is_deleting(new)
    if phase == ("Terminating" if is_deleting else "Active"):
        return []
    detail = "may only be 'Active' if `deletionTimestamp` is empty"
    if is_deleting:
        detail = "may only be 'Terminating' if `deletionTimestamp` is not empty"
    return [field.invalid("status.Phase", phase, detail)]


def pod(new: Object, old: Object) -> list[FieldError]:
    """Check the part of a Pod's status that others than its kubelet write."""
    status, before = objects.status(new), objects.status(old)
    found: list[FieldError] = []
    nominated = status.get("nominatedNodeName") or ""
    if nominated and nominated != before.get("nominatedNodeName"):
        found += formats.each(names.dns_subdomain, nominated, "status.nominatedNodeName")
        if objects.spec(old).get("nodeName"):
            detail = "may not be set on pods that are already bound to a node"
            found.append(field.forbidden("status.nominatedNodeName", detail))
    if (status.get("observedGeneration") or 0) < 0:
        detail = "must be a non-negative integer"
        found.append(field.invalid("status.observedGeneration", status["observedGeneration"], detail))
    found += metadata.immutable(status.get("qosClass") or "", before.get("qosClass") or "", "status.qosClass")
    found += _addresses(status, before, "podIPs")
    hosts = status.get("hostIPs") or ()
    if hosts and hosts[0].get("ip") != status.get("hostIP"):
        path = "status.hostIPs[0].ip"
        found.append(field.invalid(path, hosts[0].get("ip") or "", "must be equal to `hostIP`"))
    return found + _addresses(status, before, "hostIPs")


def _addresses(status: Object, before: Object, key: str) -> list[FieldError]:
    """Check new addresses of a Pod: at most one of a family. What is wrong, and was there, may stay."""
    texts, known = ([each.get("ip") or "" for each in of.get(key) or ()] for of in (status, before))
    path, found = f"status.{key}", list[FieldError]()
    for index, text in enumerate(texts):
        if text not in known:
            found += formats.each(formats.ip, text, f"{path}[{index}]")
    families = [address.version for text in texts if (address := formats.parse_ip(text))]
    if len(texts) > 1 and (len(texts) > 2 or len(set(families)) < len(texts)):
        shown = [{"IP": text} for text in texts]
        detail = "may specify no more than one IP for each IP family"
        found.append(field.invalid(path, shown, detail))
    return found


def service(new: Object, old: Object) -> list[FieldError]:
    """Check the addresses of a load balancer; those it had are kept."""
    path, listed = "status.loadBalancer.ingress", _ingress(new)
    if listed and objects.spec(new).get("type") != "LoadBalancer":
        return [field.forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")]
    known = {each.get("ip") for each in _ingress(old)}
    return [e for i, each in enumerate(listed) for e in _address(each, known, f"{path}[{i}]")]


def _address(ingress: Object, known: Iterable[str | None], path: str) -> list[FieldError]:
    address, mode, host = ingress.get("ip"), ingress.get("ipMode"), ingress.get("hostname")
    found: list[FieldError] = []
    if address and address not in known:
        found += formats.each(formats.ip, address, f"{path}.ip")
    if mode is None:
        if address:
            found.append(field.required(f"{path}.ipMode", "must be specified when `ip` is set"))
    elif not address:
        found.append(field.forbidden(f"{path}.ipMode", "may not be specified when `ip` is not set"))
    elif mode not in _IP_MODES:
        found.append(field.not_supported(f"{path}.ipMode", mode, _IP_MODES))
    if host:
        found += formats.each(names.dns_subdomain, host, f"{path}.hostname")
        if formats.is_ip(host):
            found.append(field.invalid(f"{path}.hostname", host, "must be a DNS name, not an IP address"))
    return found


def _ingress(obj: Object) -> list[Object]:
    return (objects.status(obj).get("loadBalancer") or {}).get("ingress") or []


def _counts(obj: Object, keys: Iterable[str]) -> list[FieldError]:
    status = objects.status(obj)
    return [e for key in keys for e in metadata.non_negative(status.get(key), f"status.{key}")]


def _within(obj: Object, keys: Iterable[str], ready: str) -> list[FieldError]:
    """Check that no part is greater than the whole. ready: as the message names it."""
    status = objects.status(obj)
    count = {key: status.get(key) or 0 for key in ("replicas", "readyReplicas", *keys)}
    found = [
        field.invalid(f"status.{key}", count[key], _TOO_MANY)
        for key in keys
        if count[key] > count["replicas"]
    ]
    if count["availableReplicas"] > count["readyReplicas"]:
        detail = f"cannot be greater than {ready}"
        found.append(field.invalid("status.availableReplicas", count["availableReplicas"], detail))
    return found


def _collisions(new: Object, old: Object) -> list[FieldError]:
    count, before = (objects.status(each).get("collisionCount") or 0 for each in (new, old))
    return [field.invalid("status.collisionCount", count, "cannot be decremented")] if count < before else []
