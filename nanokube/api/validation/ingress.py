"""Validation of Ingresses and IngressClasses. Pure. Source: pkg/apis/networking/validation/validation.go."""

from __future__ import annotations

from typing import Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, metadata, names

_CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"
_PATH_TYPES: Final = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_SEQUENCES: Final = ("//", "/./", "/../", "%2f", "%2F")
_BAD_SUFFIXES: Final = ("/..", "/.")
_SCOPES: Final = ("Cluster", "Namespace")
_MAX_CONTROLLER_BYTES: Final = 250
_NOT_AN_IP: Final = "must be a DNS name, not an IP address"


def validate(obj: Object) -> list[FieldError]:
    """Check an Ingress."""
    spec, found = objects.spec(obj), list[FieldError]()
    rules, backend = spec.get("rules") or (), spec.get("defaultBackend")
    if not rules and backend is None:
        found.append(field.invalid("spec", None, "either `defaultBackend` or `rules` must be specified"))
    if backend is not None:
        found += _backend(backend, "spec.defaultBackend")
    for index, rule in enumerate(rules):
        found += _rule(rule, f"spec.rules[{index}]")
    for index, entry in enumerate(spec.get("tls") or ()):
        found += _tls(entry, f"spec.tls[{index}]")
    name = spec.get("ingressClassName")
    return found if name is None else found + formats.each(names.dns_subdomain, name, "spec.ingressClassName")


def validate_new(obj: Object) -> list[FieldError]:
    """Check that the class of a new Ingress is not given twice, differently."""
    annotation = objects.annotations(obj).get(_CLASS_ANNOTATION)
    name = objects.spec(obj).get("ingressClassName")
    if annotation is None or name is None or annotation == name:
        return []
    detail = "must match `ingressClassName` when both are specified"
    return [field.invalid(f"annotations.{_CLASS_ANNOTATION}", annotation, detail)]


def validate_status(new: Object, old: Object) -> list[FieldError]:
    """Check the addresses in the status of an Ingress; those it had are kept."""
    found: list[FieldError] = []
    known = {each.get("ip") for each in _load_balancers(old)}
    for index, each in enumerate(_load_balancers(new)):
        path, address, host = f"status.loadBalancer.ingress[{index}]", each.get("ip"), each.get("hostname")
        if address and address not in known:
            found += formats.each(formats.ip, address, f"{path}.ip")
        if host:
            found += formats.each(names.dns_subdomain, host, f"{path}.hostname")
            if formats.is_ip(host):
                found.append(field.invalid(f"{path}.hostname", host, _NOT_AN_IP))
    return found


def _load_balancers(obj: Object) -> list[Object]:
    return (objects.status(obj).get("loadBalancer") or {}).get("ingress") or []


def _rule(rule: Object, path: str) -> list[FieldError]:
    host, http, found = rule.get("host") or "", rule.get("http"), list[FieldError]()
    if host:
        if formats.is_ip(host):
            found.append(field.invalid(f"{path}.host", host, _NOT_AN_IP))
        found += formats.each(formats.host, host, f"{path}.host")
    if http is None:
        return found
    if not http.get("paths"):
        found.append(field.required(f"{path}.http.paths"))
    for index, entry in enumerate(http.get("paths") or ()):
        found += _path(entry, f"{path}.http.paths[{index}]")
    return found


def _path(entry: Object, path: str) -> list[FieldError]:
    kind, text, where = entry.get("pathType"), entry.get("path") or "", f"{path}.path"
    if kind is None:
        return [field.required(f"{path}.pathType", "pathType must be specified")]
    found = formats.choice(kind, _PATH_TYPES, f"{path}.pathType")
    is_exact = kind in ("Exact", "Prefix")
    if not found and not text.startswith("/") and (is_exact or text):
        found.append(field.invalid(where, text, "must be an absolute path"))
    if is_exact:
        found += (field.invalid(where, text, f"must not contain '{s}'") for s in _BAD_SEQUENCES if s in text)
        found += (
            field.invalid(where, text, f"cannot end with '{s}'") for s in _BAD_SUFFIXES if text.endswith(s)
        )
    return found + _backend(entry.get("backend") or {}, f"{path}.backend")


def _backend(backend: Object, path: str) -> list[FieldError]:
    target, resource = backend.get("service"), backend.get("resource")
    if target is not None and resource is not None:
        return [field.invalid(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return _reference(resource, f"{path}.resource")
    if target is None:
        return [field.invalid(path, "", "resource or service backend is required")]
    found = formats.required_name(target.get("name"), names.dns_label, f"{path}.service.name")
    port, where = target.get("port") or {}, f"{path}.service.port"
    name, number = port.get("name") or "", port.get("number") or 0
    if name and number:
        found.append(field.invalid(path, "", "cannot set both port name & port number"))
    elif name:
        found += formats.each(names.port_name, name, f"{where}.name")
    elif number:
        found += (field.invalid(f"{where}.number", number, m) for m in names.port_number(number))
    else:
        found.append(field.required(path, "port name or number is required"))
    return found


def _reference(reference: Object, path: str) -> list[FieldError]:
    found, group = list[FieldError](), reference.get("apiGroup")
    if group is not None:
        found += formats.each(names.dns_subdomain, group, f"{path}.apiGroup")
    for key in ("kind", "name"):
        found += formats.required_name(reference.get(key), formats.path_segment, f"{path}.{key}")
    return found


def _tls(entry: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for index, host in enumerate(entry.get("hosts") or ()):
        found += formats.each(formats.host, host, f"{path}.hosts[{index}]")
    secret = entry.get("secretName")
    return found + formats.each(names.dns_subdomain, secret, f"{path}.secretName") if secret else found


def validate_class(obj: Object) -> list[FieldError]:
    """Check an IngressClass."""
    spec, found = objects.spec(obj), list[FieldError]()
    controller, parameters = spec.get("controller") or "", spec.get("parameters")
    if len(controller.encode()) > _MAX_CONTROLLER_BYTES:
        found.append(field.too_long("spec.controller", _MAX_CONTROLLER_BYTES))
    found += formats.domain_prefixed_path(controller, "spec.controller")
    return found if parameters is None else found + _parameters(parameters, "spec.parameters")


def _parameters(parameters: Object, path: str) -> list[FieldError]:
    found = _reference(parameters, path)
    scope, namespace, where = parameters.get("scope"), parameters.get("namespace"), f"{path}.namespace"
    if scope is None:
        return [*found, field.required(f"{path}.scope")]
    found += formats.choice(scope, _SCOPES, f"{path}.scope")
    if scope == "Namespace" and namespace is None:
        found.append(field.required(where, "`parameters.scope` is set to 'Namespace'"))
    elif scope == "Namespace":
        found += formats.each(names.dns_label, namespace or "", where)
    elif scope == "Cluster" and namespace is not None:
        found.append(field.forbidden(where, "`parameters.scope` is set to 'Cluster'"))
    return found


def validate_class_replacement(new: Object, old: Object) -> list[FieldError]:
    """Check an IngressClass, and first that its controller stayed."""
    wanted, before = (objects.spec(each).get("controller") or "" for each in (new, old))
    return metadata.immutable(wanted, before, "spec.controller") + validate_class(new)
