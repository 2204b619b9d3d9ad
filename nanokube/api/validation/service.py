"""Validation of Services. Pure. Source: pkg/apis/core/validation/validation.go, ValidateService."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import metadata, names, service_addresses

_TYPES: Final = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
_POLICIES: Final = ("Cluster", "Local")
_DISTRIBUTIONS: Final = ("PreferClose", "PreferSameZone", "PreferSameNode")
_MAX_AFFINITY_S: Final = 86400


def validate(obj: Object) -> list[FieldError]:
    """Check a Service."""
    spec, found = objects.spec(obj), list[FieldError]()
    kind, is_headless = spec.get("type"), spec.get("clusterIP") == "None"
    if not spec.get("ports") and not is_headless and kind != "ExternalName":
        found.append(field.required("spec.ports"))
    if kind == "ExternalName":
        found += _external_name(spec)
    elif is_headless and kind in ("NodePort", "LoadBalancer"):
        detail = f"may not be set to 'None' for {kind} services"
        found.append(field.invalid("spec.clusterIPs[0]", "None", detail))
    found += _ports(spec)
    found += metadata.labels(spec.get("selector"), "spec.selector")
    found += _affinity(spec)
    if kind != "ExternalName":
        found += service_addresses.validate(spec)
    found += service_addresses.external(spec)
    if kind not in _TYPES:
        found.append(field.not_supported("spec.type", kind or "", _TYPES))
    found += _unique_ports(spec)
    return found + _load_balancer(spec) + _policies(spec)


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Check that allocated addresses and a load balancer's class stayed, unless the type changes."""
    spec, before = objects.spec(new), objects.spec(old)
    found = service_addresses.validate_update(spec, before)
    if spec.get("type") == before.get("type") == "LoadBalancer":
        value = spec.get("loadBalancerClass")
        if value != before.get("loadBalancerClass"):
            found.append(field.invalid("spec.loadBalancerClass", value, "may not change once set"))
    return found


def _external_name(spec: Object) -> list[FieldError]:
    found = []
    for key in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(key):
            found.append(field.forbidden(f"spec.{key}", "may not be set for ExternalName services"))
    name = (spec.get("externalName") or "").removesuffix(".")
    if not name:
        return [*found, field.required("spec.externalName")]
    return found + [field.invalid("spec.externalName", name, m) for m in names.dns_subdomain(name)]


def _ports(spec: Object) -> list[FieldError]:
    ports, found, seen = spec.get("ports") or (), list[FieldError](), set[str]()
    for index, port in enumerate(ports):
        path, name = f"spec.ports[{index}]", port.get("name") or ""
        found += _port(port, path, is_named=len(ports) > 1)
        if name and name in seen:
            found.append(field.duplicate(f"{path}.name", name))
        seen.add(name)
    return found


def _unique_ports(spec: Object) -> list[FieldError]:
    """Ports and node ports are unique by protocol; only some types have node ports."""
    ports, found = spec.get("ports") or (), list[FieldError]()
    if spec.get("type") == "ClusterIP":
        detail = "may not be used when `type` is 'ClusterIP'"
        found += (
            field.forbidden(f"spec.ports[{i}].nodePort", detail)
            for i, p in enumerate(ports)
            if p.get("nodePort")
        )
    seen = set[Any]()
    for index, port in enumerate(ports):
        key = (port.get("protocol"), port.get("nodePort"))
        if key[1] and key in seen:
            found.append(field.duplicate(f"spec.ports[{index}].nodePort", key[1]))
        seen.add(key)
    seen.clear()
    for index, port in enumerate(ports):
        key = (port.get("protocol"), port.get("port"))
        if key in seen:
            found.append(field.duplicate(f"spec.ports[{index}]", _internal(*key)))
        seen.add(key)
    return found


def _internal(protocol: Any, port: Any) -> field.Struct:
    """Show a port as upstream prints its internal struct."""
    return field.Struct(
        {"Name": "", "Protocol": protocol, "AppProtocol": None, "Port": port, "TargetPort": 0, "NodePort": 0}
    )


def _port(port: Object, path: str, *, is_named: bool) -> list[FieldError]:
    found = []
    name = port.get("name") or ""
    if is_named and not name:
        found.append(field.required(f"{path}.name"))
    elif name:
        found += (field.invalid(f"{path}.name", name, m) for m in names.dns_label(name))
    number = port.get("port") or 0
    found += (field.invalid(f"{path}.port", number, m) for m in names.port_number(number))
    if port.get("protocol") not in _PROTOCOLS:
        found.append(field.not_supported(f"{path}.protocol", port.get("protocol"), _PROTOCOLS))
    found += port_reference(port.get("targetPort"), f"{path}.targetPort")
    if port.get("appProtocol"):
        value = port["appProtocol"]
        found += (field.invalid(f"{path}.appProtocol", value, m) for m in names.qualified_name(value))
    return found


def port_reference(value: Any, path: str) -> list[FieldError]:
    """Check a port given by number or by name."""
    value = 0 if value is None else value
    messages = names.port_name(value) if isinstance(value, str) else names.port_number(value)
    return [field.invalid(path, value, m) for m in messages]


def _affinity(spec: Object) -> list[FieldError]:
    value, path, config = (
        spec.get("sessionAffinity"),
        "spec.sessionAffinity",
        spec.get("sessionAffinityConfig"),
    )
    where, shown = f"{path}Config", "when session affinity type is ClientIP"
    if not value:
        return [field.required(path)]
    if value not in ("ClientIP", "None"):
        return [field.not_supported(path, value, ("ClientIP", "None"))]
    if value == "None":
        detail = "must not be set when session affinity is None"
        return [field.forbidden(where, detail)] if config is not None else []
    if config is None:
        return [field.required(where, shown)]
    if config.get("clientIP") is None:
        return [field.required(f"{where}.clientIP", shown)]
    seconds = config["clientIP"].get("timeoutSeconds")
    if seconds is None:
        return [field.required(f"{where}.clientIP.timeoutSeconds", shown)]
    if 0 < seconds <= _MAX_AFFINITY_S:
        return []
    detail = f"must be greater than 0 and less than {_MAX_AFFINITY_S}"
    return [field.invalid(f"{where}.clientIP.timeoutSeconds", seconds, detail)]


def _load_balancer(spec: Object) -> list[FieldError]:
    is_one, detail = spec.get("type") == "LoadBalancer", "may only be used when `type` is 'LoadBalancer'"
    found, path = list[FieldError](), "spec.LoadBalancerSourceRanges"  # upstream's spelling
    if spec.get("loadBalancerSourceRanges") and not is_one:
        found.append(field.forbidden(path, detail))
    for index, text in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        found += service_addresses.cidr(text.strip(), f"{path}[{index}]")
    if spec.get("allocateLoadBalancerNodePorts") is not None and not is_one:
        found.append(field.forbidden("spec.allocateLoadBalancerNodePorts", detail))
    value = spec.get("loadBalancerClass")
    if value is not None and not is_one:
        found.append(field.forbidden("spec.loadBalancerClass", detail))
    elif value is not None:
        found += (field.invalid("spec.loadBalancerClass", value, m) for m in names.qualified_name(value))
    return found


def _policies(spec: Object) -> list[FieldError]:
    found = []
    value, kind = spec.get("externalTrafficPolicy"), spec.get("type")
    if kind in ("NodePort", "LoadBalancer") or spec.get("externalIPs"):
        if not value:
            found.append(field.required("spec.externalTrafficPolicy"))
        elif value not in _POLICIES:
            found.append(field.not_supported("spec.externalTrafficPolicy", value, _POLICIES))
    elif value:
        detail = "may only be set for externally-accessible services"
        found.append(field.invalid("spec.externalTrafficPolicy", value, detail))
    health = spec.get("healthCheckNodePort")
    if health and (kind, value) != ("LoadBalancer", "Local"):
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        found.append(field.invalid("spec.healthCheckNodePort", health, detail))
    for key, allowed in (("internalTrafficPolicy", _POLICIES), ("trafficDistribution", _DISTRIBUTIONS)):
        value = spec.get(key)
        if value is not None and value not in allowed:
            found.append(field.not_supported(f"spec.{key}", value, allowed))
    return found
