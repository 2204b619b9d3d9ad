"""Validation of containers: names, images, ports, environment, mounts, resources. Pure.

Source: pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any, Final

from nanokube.api import field, quantity
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import names, probes, security

_PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES: Final = ("FallbackToLogsOnError", "File")
_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
_PROPAGATIONS: Final = ("Bidirectional", "HostToContainer", "None")
_SOURCES: Final = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_FIELDS: Final = frozenset(
    (
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    )
)
_RESOURCE_FIELDS: Final = frozenset(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage")
)
_STANDARD_RESOURCES: Final = frozenset(("cpu", "memory", "ephemeral-storage"))


def validate(spec: Object, path: str, volumes: Set[Any]) -> list[FieldError]:
    """Check the containers of a pod spec at `path`."""
    found: list[FieldError] = []
    if not spec.get("containers"):
        found.append(field.required(f"{path}.containers"))
    seen = set[str]()
    for key in ("containers", "initContainers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(key) or ()):
            where = f"{path}.{key}[{index}]"
            found += _container(container, where, volumes, spec, is_init=key == "initContainers")
            name = container.get("name") or ""
            if name and name in seen:
                found.append(field.duplicate(f"{where}.name", name))
            seen.add(name)
    return found + _host_ports(spec.get("containers") or (), f"{path}.containers")


def _container(
    container: Object, path: str, volumes: Set[Any], spec: Object, *, is_init: bool
) -> list[FieldError]:
    found = []
    name, image = container.get("name") or "", container.get("image") or ""
    if not name:
        found.append(field.required(f"{path}.name"))
    else:
        found += [field.invalid(f"{path}.name", name, m) for m in names.dns_label(name)]
    if not image:
        found.append(field.required(f"{path}.image"))
    elif image != image.strip():
        detail = "must not have leading or trailing whitespace"
        found.append(field.invalid(f"{path}.image", image, detail))
    found += _choice(container, "terminationMessagePolicy", path, _MESSAGE_POLICIES)
    found += _ports(container, f"{path}.ports", bool(spec.get("hostNetwork")))
    found += _environment(container, path)
    found += _mounts(container, path, volumes)
    found += _choice(container, "imagePullPolicy", path, _PULL_POLICIES)
    found += resources(container.get("resources") or {}, f"{path}.resources")
    context = container.get("securityContext")
    found += security.validate_container(context, f"{path}.securityContext", spec)
    found += probes.validate(container, path, is_init=is_init)
    return found + _restart_policy(container, path, is_init=is_init)


def _choice(container: Object, key: str, path: str, allowed: tuple[str, ...]) -> list[FieldError]:
    value = container.get(key)
    if not value:
        return [field.required(f"{path}.{key}")]
    return [] if value in allowed else [field.not_supported(f"{path}.{key}", value, allowed)]


def _restart_policy(container: Object, path: str, *, is_init: bool) -> list[FieldError]:
    policy = container.get("restartPolicy")
    allowed = ("Always", "Never", "OnFailure")
    if policy and policy not in allowed:
        return [field.not_supported(f"{path}.restartPolicy", policy, allowed)]
    return []


def _ports(container: Object, path: str, is_host_network: bool) -> list[FieldError]:
    found, seen = list[FieldError](), set[str]()
    for index, port in enumerate(container.get("ports") or ()):
        where, name = f"{path}[{index}]", port.get("name") or ""
        if name:
            messages = names.port_name(name)
            found += [field.invalid(f"{where}.name", name, m) for m in messages]
            if not messages and name in seen:
                found.append(field.duplicate(f"{where}.name", name))
            seen.add(name)
        number, host_port = port.get("containerPort") or 0, port.get("hostPort") or 0
        if number == 0:
            found.append(field.required(f"{where}.containerPort"))
        else:
            found += [field.invalid(f"{where}.containerPort", number, m) for m in names.port_number(number)]
        if host_port:
            found += [field.invalid(f"{where}.hostPort", host_port, m) for m in names.port_number(host_port)]
            if is_host_network and host_port != number:
                detail = "must match `containerPort` when `hostNetwork` is true"
                found.append(field.invalid(f"{where}.hostPort", host_port, detail))
        if port.get("protocol") not in _PROTOCOLS:
            found.append(field.not_supported(f"{where}.protocol", port.get("protocol"), _PROTOCOLS))
        if port.get("hostIP"):
            found += [
                field.invalid(f"{where}.hostIP", port["hostIP"], m) for m in names.ip_address(port["hostIP"])
            ]
    return found


def _host_ports(containers: Any, path: str) -> list[FieldError]:
    found, seen = list[FieldError](), set[str]()
    for c, container in enumerate(containers):
        for p, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            taken = f"{port.get('protocol')}/{port.get('hostIP') or ''}/{port['hostPort']}"
            if taken in seen:
                found.append(field.duplicate(f"{path}[{c}].ports[{p}].hostPort", taken))
            seen.add(taken)
    return found


def _environment(container: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for index, variable in enumerate(container.get("env") or ()):
        where, name = f"{path}.env[{index}]", variable.get("name") or ""
        if not name:
            found.append(field.required(f"{where}.name"))
        else:
            found += [field.invalid(f"{where}.name", name, m) for m in names.env_name(name)]
        source = variable.get("valueFrom")
        if source is not None:
            found += _source(source, f"{where}.valueFrom", bool(variable.get("value")))
    for index, source in enumerate(container.get("envFrom") or ()):
        where, prefix = f"{path}.envFrom[{index}]", source.get("prefix") or ""
        if prefix:
            found += [field.invalid(f"{where}.prefix", prefix, m) for m in names.env_name(prefix)]
        kinds = [k for k in ("configMapRef", "secretRef") if source.get(k) is not None]
        if not kinds:
            found.append(field.invalid(where, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(kinds) > 1:
            found.append(field.invalid(where, "", "may not have more than one field specified at a time"))
        elif not source[kinds[0]].get("name"):
            found.append(field.required(f"{where}.{kinds[0]}.name"))
    return found


def _source(source: Object, path: str, has_value: bool) -> list[FieldError]:
    kinds = [k for k in _SOURCES if source.get(k) is not None]
    found = []
    if not kinds:
        shown = (
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or "
            "`fileKeyRef`"
        )
        found.append(field.invalid(path, "", shown))
    elif has_value:
        found.append(field.invalid(path, "", "may not be specified when `value` is not empty"))
    elif len(kinds) > 1:
        found.append(field.invalid(path, "", "may not have more than one field specified at a time"))
    for kind in ("configMapKeyRef", "secretKeyRef"):
        ref = source.get(kind)
        if ref is None:
            continue
        if not ref.get("name"):
            found.append(field.required(f"{path}.{kind}.name"))
        if not ref.get("key"):
            found.append(field.required(f"{path}.{kind}.key"))
        else:
            found += [
                field.invalid(f"{path}.{kind}.key", ref["key"], m) for m in names.config_key(ref["key"])
            ]
    if source.get("fieldRef") is not None:
        found += _field_ref(source["fieldRef"], f"{path}.fieldRef")
    resource = (source.get("resourceFieldRef") or {}).get("resource")
    if source.get("resourceFieldRef") is not None and not resource:
        found.append(field.required(f"{path}.resourceFieldRef.resource"))
    elif resource and resource not in _RESOURCE_FIELDS and "hugepages-" not in resource:
        where = f"{path}.resourceFieldRef.resource"
        found.append(field.not_supported(where, resource, sorted(_RESOURCE_FIELDS)))
    return found


def _field_ref(ref: Object, path: str) -> list[FieldError]:
    where = ref.get("fieldPath") or ""
    if not where:
        return [field.required(f"{path}.fieldPath")]
    key = where[where.find("[") :]
    if (
        where.startswith(("metadata.labels[", "metadata.annotations["))
        and key[:2] == "['"
        and key[-2:] == "']"
    ):
        return [field.invalid(path, key[2:-2], m) for m in names.qualified_name(key[2:-2].lower())]
    if where not in _FIELDS:
        return [field.not_supported(f"{path}.fieldPath", where, sorted(_FIELDS))]
    return []


def _mounts(container: Object, path: str, volumes: Set[Any]) -> list[FieldError]:
    found, seen = list[FieldError](), set[str]()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        where, name = f"{path}.volumeMounts[{index}]", mount.get("name") or ""
        if not name:
            found.append(field.required(f"{where}.name"))
        elif name not in volumes:
            found.append(field.not_found(f"{where}.name", name))
        target = mount.get("mountPath") or ""
        if not target:
            found.append(field.required(f"{where}.mountPath"))
        elif target in seen:
            found.append(field.invalid(f"{where}.mountPath", target, "must be unique"))
        seen.add(target)
        found += _sub_paths(mount, where)
        propagation = mount.get("mountPropagation")
        if propagation and propagation not in _PROPAGATIONS:
            found.append(field.not_supported(f"{where}.mountPropagation", propagation, _PROPAGATIONS))
        is_privileged = (container.get("securityContext") or {}).get("privileged")
        if propagation == "Bidirectional" and not is_privileged:
            detail = "Bidirectional mount propagation is available only to privileged containers"
            found.append(field.forbidden(f"{where}.mountPropagation", detail))
    return found


def _sub_paths(mount: Object, path: str) -> list[FieldError]:
    found = []
    for key in ("subPath", "subPathExpr"):
        value = mount.get(key) or ""
        if value.startswith("/"):
            found.append(field.invalid(f"{path}.{key}", value, "must be a relative path"))
        if ".." in value.split("/"):
            found.append(field.invalid(f"{path}.{key}", value, "must not contain '..'"))
    if mount.get("subPath") and mount.get("subPathExpr"):
        detail = "subPathExpr and subPath are mutually exclusive"
        found.append(field.invalid(f"{path}.subPathExpr", mount["subPathExpr"], detail))
    return found


def resources(block: Object, path: str) -> list[FieldError]:
    """Check resource requests and limits."""
    found: list[FieldError] = []
    limits, requests = block.get("limits") or {}, block.get("requests") or {}
    for kind, amounts in (("limits", limits), ("requests", requests)):
        for name, value in amounts.items():
            where = f"{path}.{kind}[{name}]"
            found += _resource_name(name, f"{path}.{kind}")
            amount = quantity.parse(value)
            if amount.amount < 0:
                found.append(field.invalid(where, value, "must be greater than or equal to 0"))
            elif name not in _STANDARD_RESOURCES and amount.amount != amount.value:
                found.append(field.invalid(where, value, "must be an integer"))
    for name, value in requests.items():
        limit = limits.get(name)
        where = f"{path}.requests"
        is_extended = "/" in name and not name.startswith("kubernetes.io/")
        if limit is None:
            if is_extended or name.startswith("hugepages-"):
                found.append(
                    field.required(f"{path}.limits", "Limit must be set for non overcommitable resources")
                )
        elif is_extended and quantity.parse(value) != quantity.parse(limit):
            found.append(field.invalid(where, value, f"must be equal to {name} limit of {limit}"))
        elif quantity.parse(value) > quantity.parse(limit):
            found.append(
                field.invalid(where, value, f"must be less than or equal to {name} limit of {limit}")
            )
    return found


def _resource_name(name: str, path: str) -> list[FieldError]:
    messages = names.qualified_name(name)
    if messages:
        return [field.invalid(path, name, m) for m in messages]
    if "/" not in name and name not in _STANDARD_RESOURCES and not name.startswith("hugepages-"):
        return [field.invalid(path, name, "must be a standard resource for containers")]
    return []
