"""Validation of limits, quotas, priorities, ingresses and network policies. Pure.

Source: pkg/apis/{core,scheduling,networking,node}/validation/validation.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import field, objects, quantity
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import metadata, names, service_addresses

SYSTEM_PRIORITIES: Final = {
    "system-node-critical": 2_000_001_000,
    "system-cluster-critical": 2_000_000_000,
}
HIGHEST_USER_PRIORITY: Final = 1_000_000_000
_LIMIT_FIELDS: Final = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_SCOPES: Final = (
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
)
_PATH_TYPES: Final = ("Exact", "ImplementationSpecific", "Prefix")


def validate_limit_range(obj: Object) -> list[FieldError]:
    """Check a LimitRange."""
    found: list[FieldError] = []
    seen = set[str]()
    for index, item in enumerate(objects.spec(obj).get("limits") or ()):
        path, kind = f"spec.limits[{index}]", item.get("type") or ""
        if kind in seen:
            found.append(field.duplicate(f"{path}.type", kind))
        seen.add(kind)
        if kind == "Pod":
            for key in ("default", "defaultRequest"):
                if item.get(key):
                    found.append(
                        field.forbidden(f"{path}.{key}", "may not be specified when `type` is 'Pod'")
                    )
        found += _bounds(item, path)
    return found


def _bounds(item: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for name in sorted({n for key in _LIMIT_FIELDS for n in item.get(key) or ()}):
        value = {k: quantity.parse(item[k][name]) for k in _LIMIT_FIELDS if name in (item.get(k) or {})}
        for low, high in (
            ("min", "max"),
            ("defaultRequest", "max"),
            ("min", "defaultRequest"),
            ("min", "default"),
            ("default", "max"),
            ("defaultRequest", "default"),
        ):
            if low in value and high in value and value[high] < value[low]:
                at = high if low == "min" and high in ("default", "defaultRequest") else low
                said = {
                    "min": "min value",
                    "max": "max value",
                    "default": "default limit value",
                    "defaultRequest": "default request value",
                }
                if low == "min" and high != "max":
                    detail = f"{said[low]} {value[low]} is greater than {said[high]} {value[high]}"
                else:
                    detail = f"{said[low]} {value[low]} is greater than {said[high]} {value[high]}"
                found.append(field.invalid(f"{path}.{at}[{name}]", str(value[at]), detail))
    return found


def validate_quota(obj: Object) -> list[FieldError]:
    """Check a ResourceQuota."""
    spec, found = objects.spec(obj), list[FieldError]()
    for name, amount in (spec.get("hard") or {}).items():
        path = f"spec.hard[{name}]"
        found += (field.invalid(path, name, m) for m in names.qualified_name(name))
        if quantity.parse(amount) < quantity.parse("0"):
            found.append(field.invalid(path, amount, metadata.NEGATIVE))
    scopes = spec.get("scopes") or []
    for scope in scopes:
        if scope not in _SCOPES:
            found.append(field.invalid("spec.scopes", scopes, "unsupported scope"))
    for pair in (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")):
        if set(pair) <= set(scopes):
            found.append(field.invalid("spec.scopes", scopes, "conflicting scopes"))
    return found


def validate_quota_update(new: Object, old: Object) -> list[FieldError]:
    """Check that the scopes stayed."""
    wanted, before = (sorted(objects.spec(o).get("scopes") or ()) for o in (new, old))
    return [] if wanted == before else [field.invalid("spec.scopes", wanted, metadata.IMMUTABLE)]


def validate_priority_class(obj: Object) -> list[FieldError]:
    """Check a PriorityClass."""
    name, value, found = objects.name(obj), obj.get("value") or 0, list[FieldError]()
    if name.startswith("system-"):
        if SYSTEM_PRIORITIES.get(name) != value or obj.get("globalDefault"):
            known = name in SYSTEM_PRIORITIES
            cause = (
                f"value of {name} PriorityClass must be {SYSTEM_PRIORITIES.get(name)}"
                if known
                else f"{name} is not a known system priority class"
            )
            detail = (
                f"priority class names with 'system-' prefix are reserved for system use only. error: {cause}"
            )
            found.append(field.forbidden("metadata.name", detail))
    elif value > HIGHEST_USER_PRIORITY:
        detail = f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"
        found.append(field.forbidden("value", detail))
    policy, known_policies = obj.get("preemptionPolicy"), ("Never", "PreemptLowerPriority")
    if policy is not None and policy not in known_policies:
        found.append(field.not_supported("preemptionPolicy", policy, known_policies))
    return found


def validate_priority_class_update(new: Object, old: Object) -> list[FieldError]:
    """Check that value and policy stayed."""
    found: list[FieldError] = []
    if (new.get("value") or 0) != (old.get("value") or 0):
        found.append(field.forbidden("value", "may not be changed in an update."))
    return found + metadata.immutable(
        new.get("preemptionPolicy"), old.get("preemptionPolicy"), "preemptionPolicy"
    )


def validate_runtime_class(obj: Object) -> list[FieldError]:
    """Check a RuntimeClass."""
    handler = obj.get("handler") or ""
    return [field.invalid("handler", handler, m) for m in names.dns_label(handler)]


def validate_runtime_class_update(new: Object, old: Object) -> list[FieldError]:
    """Check that the handler stayed."""
    return metadata.immutable(new.get("handler"), old.get("handler"), "handler")


def validate_ingress(obj: Object) -> list[FieldError]:
    """Check an Ingress."""
    spec, found = objects.spec(obj), list[FieldError]()
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        found.append(
            field.invalid("spec", dict(spec), "either `defaultBackend` or `rules` must be specified")
        )
    for index, rule in enumerate(spec.get("rules") or ()):
        path, host = f"spec.rules[{index}]", rule.get("host") or ""
        bare = host[2:] if host.startswith("*.") else host
        found += (field.invalid(f"{path}.host", host, m) for m in (names.dns_subdomain(bare) if host else ()))
        http = rule.get("http")
        if http is not None and not http.get("paths"):
            found.append(field.required(f"{path}.http.paths"))
        for number, entry in enumerate((http or {}).get("paths") or ()):
            found += _ingress_path(entry, f"{path}.http.paths[{number}]")
    if spec.get("defaultBackend") is not None:
        found += _backend(spec["defaultBackend"], "spec.defaultBackend")
    name = spec.get("ingressClassName")
    if name is not None:
        found += (field.invalid("spec.ingressClassName", name, m) for m in names.dns_subdomain(name))
    return found


def _ingress_path(entry: Object, path: str) -> list[FieldError]:
    kind, text, found = entry.get("pathType"), entry.get("path") or "", list[FieldError]()
    if not kind:
        found.append(field.required(f"{path}.pathType", "pathType must be specified"))
    elif kind not in _PATH_TYPES:
        found.append(field.not_supported(f"{path}.pathType", kind, _PATH_TYPES))
    elif (kind != "ImplementationSpecific" and not text.startswith("/")) or (
        text and not text.startswith("/")
    ):
        found.append(field.invalid(f"{path}.path", text, "must be an absolute path"))
    if kind in ("Exact", "Prefix"):
        for bad in ("//", "/./", "/../", "%2f", "%2F"):
            if bad in text:
                found.append(field.invalid(f"{path}.path", text, f"must not contain '{bad}'"))
    return found + _backend(entry.get("backend") or {}, f"{path}.backend")


def _backend(backend: Object, path: str) -> list[FieldError]:
    target, resource = backend.get("service"), backend.get("resource")
    if target is None and resource is None:
        return [field.required(path, "cannot set both resource and service backends" if target else "")]
    if target is not None and resource is not None:
        return [field.invalid(path, "", "cannot set both resource and service backends")]
    if target is None:
        return []
    name, found = target.get("name") or "", list[FieldError]()
    if not name:
        found.append(field.required(f"{path}.service.name"))
    else:
        found += (field.invalid(f"{path}.service.name", name, m) for m in names.dns1035_label(name))
    port = target.get("port") or {}
    if port.get("name") and port.get("number"):
        found.append(field.invalid(f"{path}.service.port", "", "cannot set both port name & port number"))
    elif port.get("name"):
        found += (
            field.invalid(f"{path}.service.port.name", port["name"], m) for m in names.port_name(port["name"])
        )
    elif port.get("number"):
        number = port["number"]
        found += (field.invalid(f"{path}.service.port.number", number, m) for m in names.port_number(number))
    else:
        found.append(field.required(f"{path}.service.port", "port name or number is required"))
    return found


def validate_ingress_class(obj: Object) -> list[FieldError]:
    """Check an IngressClass."""
    controller = objects.spec(obj).get("controller") or ""
    if not controller:
        return [field.required("spec.controller")]
    if "/" not in controller or not controller.partition("/")[2]:
        return [
            field.invalid(
                "spec.controller", controller, 'must be a domain-prefixed path (such as "acme.io/foo")'
            )
        ]
    return []


def validate_ingress_class_update(new: Object, old: Object) -> list[FieldError]:
    """Check that the controller stayed."""
    wanted, before = objects.spec(new).get("controller"), objects.spec(old).get("controller")
    return metadata.immutable(wanted, before, "spec.controller")


def validate_network_policy(obj: Object) -> list[FieldError]:
    """Check a NetworkPolicy."""
    spec = objects.spec(obj)
    found = metadata.label_selector(spec.get("podSelector"), "spec.podSelector")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{index}]"
            for number, port in enumerate(rule.get("ports") or ()):
                found += _policy_port(port, f"{path}.ports[{number}]")
            for number, peer in enumerate(rule.get(peers) or ()):
                found += _peer(peer, f"{path}.{peers}[{number}]")
    kinds = spec.get("policyTypes") or ()
    if len(kinds) > 2:
        found.append(
            field.invalid("spec.policyTypes", list(kinds), "may not specify more than two policyTypes")
        )
    for index, kind in enumerate(kinds):
        if kind not in ("Ingress", "Egress"):
            found.append(field.not_supported(f"spec.policyTypes[{index}]", kind, ("Egress", "Ingress")))
    return found


def _policy_port(port: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    protocol, value, end = port.get("protocol", "TCP"), port.get("port"), port.get("endPort")
    if protocol not in ("TCP", "UDP", "SCTP"):
        found.append(field.not_supported(f"{path}.protocol", protocol, ("SCTP", "TCP", "UDP")))
    if isinstance(value, int):
        found += (field.invalid(f"{path}.port", value, m) for m in names.port_number(value))
        if end is not None and end < value:
            found.append(field.invalid(f"{path}.endPort", end, "must be greater than or equal to `port`"))
    elif isinstance(value, str):
        found += (field.invalid(f"{path}.port", value, m) for m in names.port_name(value))
        if end is not None:
            found.append(
                field.invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric")
            )
    elif end is not None:
        found.append(field.required(f"{path}.endPort", "may not be specified when `port` is not specified"))
    return found


def _peer(peer: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    block: Any = peer.get("ipBlock")
    for key in ("podSelector", "namespaceSelector"):
        found += metadata.label_selector(peer.get(key), f"{path}.{key}")
    if block is not None:
        if peer.get("podSelector") is not None or peer.get("namespaceSelector") is not None:
            return [field.forbidden(path, "may not specify both ipBlock and another peer")]
        if not block.get("cidr"):
            return [*found, field.required(f"{path}.ipBlock.cidr")]
        found += service_addresses.cidr(block["cidr"], f"{path}.ipBlock.cidr")
    elif peer.get("podSelector") is None and peer.get("namespaceSelector") is None:
        found.append(field.required(path, "must specify a peer"))
    return found
