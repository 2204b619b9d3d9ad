"""Validation of Services. Pure. Source: pkg/apis/core/validation/validation.go, ValidateService."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import metadata, names

_TYPES: Final = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
_MAX_AFFINITY_S: Final = 86400


def validate(obj: Object) -> list[FieldError]:
    """Check a Service."""
    spec, found = objects.spec(obj), list[FieldError]()
    kind = spec.get("type")
    if kind not in _TYPES:
        found.append(field.not_supported("spec.type", kind, _TYPES))
    found += metadata.labels(spec.get("selector"), "spec.selector")
    is_headless = spec.get("clusterIP") == "None"
    if not spec.get("ports") and not is_headless and kind != "ExternalName":
        found.append(field.required("spec.ports"))
    if kind == "ExternalName":
        found += _external_name(spec)
    elif is_headless and kind in ("NodePort", "LoadBalancer"):
        detail = f"may not be set to 'None' for {kind} services"
        found.append(field.invalid("spec.clusterIPs[0]", "None", detail))
    found += _ports(spec)
    found += _affinity(spec)
    found += _addresses(spec)
    return found + _policies(spec)


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Check that an allocated cluster IP stayed, unless the type changes."""
    spec, before = objects.spec(new), objects.spec(old)
    if "ExternalName" in (spec.get("type"), before.get("type")) or not before.get("clusterIPs"):
        return []
    found = []
    primary = before["clusterIPs"][0]
    if (spec.get("clusterIPs") or [""])[0] != primary:
        detail = "may not change once set"
        found.append(field.invalid("spec.clusterIPs[0]", spec.get("clusterIPs"), detail))
    if spec.get("clusterIP", primary) != before.get("clusterIP"):
        found.append(field.invalid("spec.clusterIP", spec.get("clusterIP"), metadata.IMMUTABLE))
    return found


def _external_name(spec: Object) -> list[FieldError]:
    found = []
    if spec.get("clusterIPs") or spec.get("clusterIP"):
        detail = "may not be set for ExternalName services"
        found.append(field.forbidden("spec.clusterIPs", detail))
    name = (spec.get("externalName") or "").rstrip(".")
    if not name:
        return [*found, field.required("spec.externalName")]
    return found + [field.invalid("spec.externalName", name, m) for m in names.dns_subdomain(name)]


def _ports(spec: Object) -> list[FieldError]:
    ports, found = spec.get("ports") or (), list[FieldError]()
    seen_names, seen_ports, seen_node_ports = set[str](), set[Any](), set[Any]()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        found += _port(port, path, is_named=len(ports) > 1, spec=spec)
        name, protocol = port.get("name") or "", port.get("protocol")
        if name and name in seen_names:
            found.append(field.duplicate(f"{path}.name", name))
        seen_names.add(name)
        if (protocol, port.get("port")) in seen_ports:
            shown = {"port": port.get("port"), "protocol": protocol}
            found.append(field.duplicate(path, shown))
        seen_ports.add((protocol, port.get("port")))
        node_port = port.get("nodePort")
        if node_port and (protocol, node_port) in seen_node_ports:
            found.append(field.duplicate(f"{path}.nodePort", node_port))
        seen_node_ports.add((protocol, node_port))
    return found


def _port(port: Object, path: str, *, is_named: bool, spec: Object) -> list[FieldError]:
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
    if spec.get("type") == "ClusterIP" and port.get("nodePort"):
        detail = "may not be used when `type` is 'ClusterIP'"
        found.append(field.forbidden(f"{path}.nodePort", detail))
    return found


def port_reference(value: Any, path: str) -> list[FieldError]:
    """Check a port given by number or by name."""
    messages = names.port_name(value) if isinstance(value, str) else names.port_number(value or 0)
    return [field.invalid(path, value, m) for m in messages]


def _affinity(spec: Object) -> list[FieldError]:
    value, path = spec.get("sessionAffinity"), "spec.sessionAffinity"
    if value not in ("ClientIP", "None"):
        return [field.not_supported(path, value, ("ClientIP", "None"))]
    seconds = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
    if value == "ClientIP" and seconds is not None and not 0 < seconds <= _MAX_AFFINITY_S:
        where = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        return [field.invalid(where, seconds, f"must be greater than 0 and less than {_MAX_AFFINITY_S}")]
    return []


def _addresses(spec: Object) -> list[FieldError]:
    found = []
    for index, address in enumerate(spec.get("clusterIPs") or ()):
        if address != "None":
            path = f"spec.clusterIPs[{index}]"
            found += [field.invalid(path, address, m) for m in names.ip_address(address)]
    given = spec.get("clusterIP")
    if given and given != "None" and not spec.get("clusterIPs"):
        found += [field.invalid("spec.clusterIP", given, m) for m in names.ip_address(given)]
    for index, address in enumerate(spec.get("externalIPs") or ()):
        path = f"spec.externalIPs[{index}]"
        found += [field.invalid(path, address, m) for m in names.ip_address(address)]
    return found


def _policies(spec: Object) -> list[FieldError]:
    found = []
    for key in ("internalTrafficPolicy", "externalTrafficPolicy"):
        value = spec.get(key)
        if value and value not in ("Cluster", "Local"):
            found.append(field.not_supported(f"spec.{key}", value, ("Cluster", "Local")))
    is_external = spec.get("type") in ("NodePort", "LoadBalancer") or spec.get("externalIPs")
    if spec.get("externalTrafficPolicy") and not is_external:
        detail = "may only be set for externally-accessible services"
        value = spec["externalTrafficPolicy"]
        found.append(field.invalid("spec.externalTrafficPolicy", value, detail))
    return found
