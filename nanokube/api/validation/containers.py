"""Validation of containers: names, images, ports, restarts; the larger parts are files of their own. Pure.

Source: pkg/apis/core/validation/validation.go, validateContainers, validateInitContainers,
validateEphemeralContainers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import (
    container_resources,
    environment,
    formats,
    mounts,
    names,
    probes,
    security,
)

KINDS: Final = ("containers", "initContainers", "ephemeralContainers")
_PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES: Final = ("File", "FallbackToLogsOnError")  # as upstream lists them
_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
_RESTARTS: Final = ("Always", "Never", "OnFailure")
_RESIZABLE: Final = ("cpu", "memory")
_RESIZES: Final = ("NotRequired", "RestartContainer")
_ACTIONS: Final = ("Restart", "RestartAllContainers")
_MAX_RULES: Final = 20
_MAX_CODES: Final = 255
_NOT_EPHEMERAL: Final = (
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
)


def validate(spec: Object, path: str, volumes: Mapping[str, Object]) -> list[FieldError]:
    """Check the containers of a pod spec at `path`. volumes: its good ones, by name."""
    claims = {name for c in spec.get("resourceClaims") or () if (name := c.get("name"))}
    found, main = list[FieldError](), spec.get("containers") or []
    if not main:
        found.append(field.required(f"{path}.containers"))
    seen = set[str]()
    for index, container in enumerate(main):
        where = f"{path}.containers[{index}]"
        found += _shared(container, where, volumes, spec, claims) + _unique(container, where, seen)
        found += probes.validate(container, where, spec) + _restarts(container, where)
    found += _host_ports(main, f"{path}.containers")
    # the names of containers, but not that of one without a name twice
    for index, container in enumerate(spec.get("initContainers") or ()):
        where = f"{path}.initContainers[{index}]"
        found += _shared(container, where, volumes, spec, claims)
        found += _restarts(container, where, is_init=True)
        found += _unique(container, where, seen, ignores_blank=True)
        found += _host_ports([container], f"{path}.initContainers")
        found += _init(container, where, spec)
    return found + _ephemeral(spec, path, volumes, claims)


def every(spec: Object, path: str) -> Iterator[tuple[Object, str]]:
    """Go through all containers of a spec and their paths, in upstream's order."""
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(kind) or ()):
            yield container, f"{path}.{kind}[{index}]"


def image_spaces(container: Object, path: str) -> list[FieldError]:
    """Check what only Pods' images may not have; templates may."""
    image = container.get("image") or ""
    if image == image.strip():
        return []
    return [field.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")]


def _unique(container: Object, path: str, seen: set[str], *, ignores_blank: bool = False) -> list[FieldError]:
    name = container.get("name") or ""
    if name in seen:
        return [field.duplicate(f"{path}.name", name)]
    if name or not ignores_blank:
        seen.add(name)
    return []


def _shared(
    container: Object, path: str, volumes: Mapping[str, Object], spec: Object, claims: set[str]
) -> list[FieldError]:
    found = formats.required_name(container.get("name"), names.dns_label, f"{path}.name")
    if not container.get("image"):
        found.append(field.required(f"{path}.image"))
    found += _choice(container, "terminationMessagePolicy", path, _MESSAGE_POLICIES)
    found += _ports(container, f"{path}.ports")
    found += environment.validate(container, path)
    found += mounts.validate(container, path, volumes)
    found += _choice(container, "imagePullPolicy", path, _PULL_POLICIES)
    found += container_resources.of_container(container.get("resources") or {}, f"{path}.resources", claims)
    found += _resizes(container, f"{path}.resizePolicy", spec.get("restartPolicy"))
    context = container.get("securityContext")
    return found + security.validate_container(context, f"{path}.securityContext", spec)


def _choice(container: Object, key: str, path: str, allowed: tuple[str, ...]) -> list[FieldError]:
    value = container.get(key)
    if not value:
        return [field.required(f"{path}.{key}")]
    return [] if value in allowed else [field.not_supported(f"{path}.{key}", value, allowed)]


def _init(container: Object, path: str, spec: Object) -> list[FieldError]:
    if container.get("restartPolicy") == "Always":
        return probes.validate(container, path, spec)
    detail = "may not be set for init containers without restartPolicy=Always"
    keys = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
    found = [field.forbidden(f"{path}.{key}", detail) for key in keys if container.get(key) is not None]
    for index, policy in enumerate(container.get("resizePolicy") or ()):
        if policy.get("restartPolicy") == "RestartContainer":
            detail = "must not be set to 'RestartContainer' for non-sidecar initContainers"
            where = f"{path}.resizePolicy[{index}].restartPolicy"
            found.append(field.invalid(where, "RestartContainer", detail))
    return found


def _ephemeral(spec: Object, path: str, volumes: Mapping[str, Object], claims: set[str]) -> list[FieldError]:
    others = {c.get("name") or "" for kind in KINDS[:2] for c in spec.get(kind) or ()}
    found, seen, denied = list[FieldError](), set(others), "cannot be set for an Ephemeral Container"
    for index, container in enumerate(spec.get("ephemeralContainers") or ()):
        where = f"{path}.ephemeralContainers[{index}]"
        found += _shared(container, where, volumes, spec, claims) + image_spaces(container, where)
        found += _unique(container, where, seen)
        target = container.get("targetContainerName")
        if target and target not in others:
            found.append(field.not_found(f"{where}.targetContainerName", target))
        found += [field.forbidden(f"{where}.{key}", denied) for key in _NOT_EPHEMERAL if container.get(key)]
        for number, mount in enumerate(container.get("volumeMounts") or ()):
            found += [
                field.forbidden(f"{where}.volumeMounts[{number}].{key}", denied)
                for key in ("subPath", "subPathExpr")
                if mount.get(key)
            ]
    return found


def _ports(container: Object, path: str) -> list[FieldError]:
    found, seen = list[FieldError](), set[str]()
    for index, port in enumerate(container.get("ports") or ()):
        where, name = f"{path}[{index}]", port.get("name") or ""
        if name:
            messages = names.port_name(name)
            found += [field.invalid(f"{where}.name", name, m) for m in messages]
            if name in seen:
                found.append(field.duplicate(f"{where}.name", name))
            elif not messages:
                seen.add(name)
        number, host_port = port.get("containerPort") or 0, port.get("hostPort") or 0
        protocol = port.get("protocol")
        if number == 0:
            found.append(field.required(f"{where}.containerPort"))
        else:
            found += [field.invalid(f"{where}.containerPort", number, m) for m in names.port_number(number)]
        if host_port:
            found += [field.invalid(f"{where}.hostPort", host_port, m) for m in names.port_number(host_port)]
        if not protocol:
            found.append(field.required(f"{where}.protocol"))
        else:
            found += formats.choice(protocol, _PROTOCOLS, f"{where}.protocol")
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


def host_network_ports(spec: Object, path: str) -> list[FieldError]:
    """Check that a port on the node's network is the container's."""
    found: list[FieldError] = []
    if not spec.get("hostNetwork"):
        return found
    for c, container in enumerate(spec.get("containers") or ()):
        for p, port in enumerate(container.get("ports") or ()):
            host_port = port.get("hostPort") or 0
            if host_port and host_port != (port.get("containerPort") or 0):
                detail = "must match `containerPort` when `hostNetwork` is true"
                where = f"{path}.containers[{c}].ports[{p}].hostPort"
                found.append(field.invalid(where, host_port, detail))
    return found


def _resizes(container: Object, path: str, restart: Any) -> list[FieldError]:
    found, seen = list[FieldError](), set[str]()
    for index, policy in enumerate(container.get("resizePolicy") or ()):
        name, wanted = policy.get("resourceName") or "", policy.get("restartPolicy") or ""
        if name in seen:
            found.append(field.duplicate(f"{path}[{index}]", name))
        seen.add(name)
        for value, allowed in ((name, _RESIZABLE), (wanted, _RESIZES)):
            if not value:
                found.append(field.required(path))
            else:
                found += formats.choice(value, allowed, path)
        if restart == "Never" and wanted != "NotRequired":
            detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'"
            found.append(field.invalid(path, wanted, detail))
    return found


def _restarts(container: Object, path: str, *, is_init: bool = False) -> list[FieldError]:
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or ()
    found, where = list[FieldError](), f"{path}.restartPolicy"
    if policy is None and rules:
        found.append(field.required(where, "must specify restartPolicy when restart rules are used"))
        if is_init:
            return found
    found += formats.optional_choice(policy, _RESTARTS, where)
    if len(rules) > _MAX_RULES:
        found.append(field.too_many(f"{path}.restartPolicyRules", len(rules), _MAX_RULES))
    for index, rule in enumerate(rules):
        found += _rule(rule, f"{path}.restartPolicyRules[{index}]")
    return found


def _rule(rule: Object, path: str) -> list[FieldError]:
    found, codes = formats.choice(rule.get("action"), _ACTIONS, f"{path}.action"), rule.get("exitCodes")
    if codes is None:
        return [*found, field.required(f"{path}.exitCodes", "must be specified")]
    found += formats.choice(codes.get("operator"), ("In", "NotIn"), f"{path}.exitCodes.operator")
    if len(codes.get("values") or ()) > _MAX_CODES:
        found.append(field.too_many(f"{path}.exitCodes.values", len(codes["values"]), _MAX_CODES))
    return found
