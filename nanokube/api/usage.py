"""How much of what an object uses: requests and limits of Pods, and what quotas count. Pure.

Source: pkg/quota/v1/evaluator/core, component-helpers/resource/helpers.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from nanokube.api import objects, qos, quantity, resized, selectors
from nanokube.api.objects import Object
from nanokube.api.quantity import Quantity
from nanokube.api.resources import Resource

Amounts = dict[str, Quantity]
_ONE: Final = quantity.parse("1")
_ZERO: Final = quantity.parse("0")
# names from before count/<resource> existed
_LEGACY: Final = frozenset(
    (
        "pods",
        "services",
        "persistentvolumeclaims",
        "configmaps",
        "secrets",
        "replicationcontrollers",
        "resourcequotas",
    )
)
_PLAIN: Final = ("cpu", "memory", "ephemeral-storage")
_DEVICES: Final = ".deviceclass.resource.k8s.io/devices"
_MOST_DEVICES: Final = 32  # of one request that wants all; resource/v1 AllocationResultsMaxSize
_CLASS_ANNOTATION: Final = "volume.beta.kubernetes.io/storage-class"


def parse(amounts: Mapping[str, Any] | None) -> Amounts:
    """Read a map of quantities."""
    return {name: quantity.parse(value) for name, value in (amounts or {}).items()}


def add(left: Mapping[str, Quantity], right: Mapping[str, Quantity]) -> Amounts:
    """Add amounts by name."""
    found = dict(left)
    for name, value in right.items():
        found[name] = found[name] + value if name in found else value
    return found


def subtract(left: Mapping[str, Quantity], right: Mapping[str, Quantity]) -> Amounts:
    """Subtract amounts by name."""
    return add(left, {name: -value for name, value in right.items()})


def pod_amounts(spec: Object, key: str) -> Amounts:
    """Sum up "requests" or "limits" of a Pod: init containers overlap, sidecars do not, overhead counts."""
    total: Amounts = {}
    for container in spec.get("containers") or ():
        total = add(total, parse((container.get("resources") or {}).get(key)))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = parse((container.get("resources") or {}).get(key))
        if container.get("restartPolicy") == "Always":
            sidecars = add(sidecars, own)
            own = sidecars
        else:
            own = add(own, sidecars)
        peak = _most(peak, own)
    total = _most(add(total, sidecars), peak)
    total = {**total, **parse((spec.get("resources") or {}).get(key))}
    overhead = parse(spec.get("overhead"))
    return add(total, {n: v for n, v in overhead.items() if key == "requests" or n in total})


def _most(left: Mapping[str, Quantity], right: Mapping[str, Quantity]) -> Amounts:
    found = dict(left)
    for name, value in right.items():
        if name not in found or found[name] < value:
            found[name] = value
    return found


def of(resource: Resource, obj: Object) -> Amounts:
    """Measure an object as quotas name it."""
    found: Amounts = {f"count/{resource.name}": _ONE}
    if resource.name == "pods":
        return {**found, **_pod(obj)} if _counts(obj) else found
    if resource.name in _LEGACY:
        found[resource.name] = _ONE
    if resource.name == "services":
        found |= _service(objects.spec(obj))
    elif resource.name == "persistentvolumeclaims":
        found |= _claim(obj)
    elif resource.name == "resourceclaims.resource.k8s.io":
        found |= _devices(objects.spec(obj))
    return found


def _counts(pod: Object) -> bool:
    return objects.status(pod).get("phase") not in ("Succeeded", "Failed")


def _pod(pod: Object) -> Amounts:
    found: Amounts = {"pods": _ONE}
    spec = resized.spec(pod)
    for name, value in pod_amounts(spec, "requests").items():
        found[f"requests.{name}"] = value
        if name in _PLAIN or name.startswith("hugepages-"):
            found[name] = value
    for name, value in pod_amounts(spec, "limits").items():
        found[f"limits.{name}"] = value
    return found


def _service(spec: Object) -> Amounts:
    kind, ports = spec.get("type"), len(spec.get("ports") or ())
    is_balancer = kind == "LoadBalancer"
    has_ports = kind == "NodePort" or (is_balancer and spec.get("allocateLoadBalancerNodePorts") is not False)
    return {
        "services.nodeports": quantity.parse(str(ports if has_ports else 0)),
        "services.loadbalancers": _ONE if is_balancer else _ZERO,
    }


def _claim(obj: Object) -> Amounts:
    spec = objects.spec(obj)
    storage = parse((spec.get("resources") or {}).get("requests")).get("storage", _ZERO)
    found = {"requests.storage": storage}
    name = spec.get("storageClassName") or objects.annotations(obj).get(_CLASS_ANNOTATION)
    if name:
        prefix = f"{name}.storageclass.storage.k8s.io"
        found[f"{prefix}/requests.storage"] = storage
        found[f"{prefix}/persistentvolumeclaims"] = _ONE
    return found


def _devices(spec: Object) -> Amounts:
    """Count devices by class; of requests that may be met in several ways, the worst for each class."""
    found: Amounts = {}
    for request in (spec.get("devices") or {}).get("requests") or ():
        worst: Amounts = {}
        for wanted in request.get("firstAvailable") or [request.get("exactly") or {}]:
            if wanted.get("allocationMode") in ("All", "ExactCount"):
                is_all = wanted["allocationMode"] == "All"
                count = quantity.parse(str(_MOST_DEVICES if is_all else wanted.get("count") or 0))
                worst = _most(worst, {f"{wanted.get('deviceClassName')}{_DEVICES}": count})
        found = add(found, worst)
    return found


def _has_cross_namespace_affinity(spec: Object) -> bool:
    for key in ("podAffinity", "podAntiAffinity"):
        affinity = (spec.get("affinity") or {}).get(key) or {}
        terms = list(affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [entry.get("podAffinityTerm") or {} for entry in preferred]
        if any(t.get("namespaces") or t.get("namespaceSelector") is not None for t in terms):
            return True
    return False


_SCOPES: Final[Mapping[str, Callable[[Object], bool]]] = {
    "Terminating": lambda pod: objects.spec(pod).get("activeDeadlineSeconds") is not None,
    "NotTerminating": lambda pod: objects.spec(pod).get("activeDeadlineSeconds") is None,
    "BestEffort": lambda pod: qos.of(pod) == "BestEffort",
    "NotBestEffort": lambda pod: qos.of(pod) != "BestEffort",
    "CrossNamespacePodAffinity": lambda pod: _has_cross_namespace_affinity(objects.spec(pod)),
}


def is_governed(quota: Object, resource: Resource, obj: Object) -> bool:
    """Tell whether a quota's scopes take in an object; scopes are about Pods and volume claims."""
    spec = objects.spec(quota)
    terms = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    terms += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    if not terms:
        return True
    in_scope = {"pods": _in_scope, "persistentvolumeclaims": _claim_in_scope}.get(resource.name)
    return in_scope is not None and all(in_scope(term, obj) for term in terms)


def _claim_in_scope(term: Object, claim: Object) -> bool:
    """A claim is of the attributes class it has, of the one it wants, and of the one it is on its way to."""
    if term.get("scopeName") != "VolumeAttributesClass":
        return False
    status = objects.status(claim)
    names = {
        objects.spec(claim).get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    }
    return any(_selects(term, name) for name in (names - {None, ""} or {None}))


def _in_scope(term: Object, pod: Object) -> bool:
    name = term.get("scopeName") or ""
    if name != "PriorityClass":
        return name in _SCOPES and _SCOPES[name](pod)
    return _selects(term, objects.spec(pod).get("priorityClassName"))


def _selects(term: Object, name: str | None) -> bool:
    """Judge a class's name, or that there is none, by a scope's operator and values."""
    wanted = {"key": "class", "operator": term.get("operator"), "values": term.get("values")}
    return selectors.from_object({"matchExpressions": [wanted]}).matches({"class": name} if name else {})


def total(quota: Object, found: Iterable[tuple[Resource, Object]]) -> Amounts:
    """Add up what a quota governs, by the names in its `spec.hard`."""
    hard = objects.spec(quota).get("hard") or {}
    used: Amounts = dict.fromkeys(hard, _ZERO)
    for resource, obj in found:
        if is_governed(quota, resource, obj):
            used = add(used, {n: v for n, v in of(resource, obj).items() if n in hard})
    return used


def missing(hard: Iterable[str], pod: Object) -> dict[str, list[str]]:
    """List by resource the containers of a Pod that do not say what a quota wants to know of each."""
    found: dict[str, list[str]] = {}
    spec = objects.spec(pod)
    pod_level = spec.get("resources") or {}
    for name in sorted(hard):
        prefix, _, rest = (
            name.rpartition(".") if name.startswith(("requests.", "limits.")) else ("requests", "", name)
        )
        if rest not in ("cpu", "memory") or rest in (pod_level.get(prefix) or {}):
            continue
        for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
            if rest not in ((container.get("resources") or {}).get(prefix) or {}):
                found.setdefault(name, []).append(container.get("name", ""))
    return found
