"""Validation of a pod spec, of a Pod or a template. Pure. Source: pkg/apis/core/validation/validation.go."""

from __future__ import annotations

from typing import Final

from nanokube.api import field, known_specs
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import (
    container_resources,
    containers,
    formats,
    metadata,
    names,
    scheduling,
    security,
    volumes,
    windows,
)

_RESTART_POLICIES: Final = ("Always", "OnFailure", "Never")  # as upstream lists them
_DNS_POLICIES: Final = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PREEMPTION: Final = ("PreemptLowerPriority", "Never")
_MAX_HOST_NAME: Final = 64
_MAX_NAMESERVERS: Final = 3
_MAX_SEARCHES: Final = 32
_MAX_SEARCH_CHARACTERS: Final = 2048


def validate(spec: Object, path: str) -> list[FieldError]:
    """Check the pod spec of a template at `path`."""
    known = known_specs.find(spec)
    if known.is_valid_template:
        return []
    found = _validate(spec, path, is_pod=False)
    known.is_valid_template = not found
    return found


def validate_pod(spec: Object, path: str) -> list[FieldError]:
    """Check the spec of a Pod at `path`."""
    return _validate(spec, path, is_pod=True)


def _validate(spec: Object, path: str, *, is_pod: bool) -> list[FieldError]:
    found = list[FieldError]()
    if spec.get("terminationGracePeriodSeconds") is None:
        found.append(field.required(f"{path}.terminationGracePeriodSeconds"))
    wrong, good = volumes.validate(spec.get("volumes") or (), f"{path}.volumes", is_pod=is_pod)
    found += wrong + _claims(spec, f"{path}.resourceClaims")
    found += containers.validate(spec, path, good)
    found += container_resources.of_pod(spec, f"{path}.resources")
    found += containers.host_network_ports(spec, path)
    found += _policies(spec, path)
    found += metadata.labels(spec.get("nodeSelector"), f"{path}.nodeSelector")
    found += security.validate_pod(spec, f"{path}.securityContext")
    found += scheduling.affinity(spec, path)
    found += _dns(spec, f"{path}.dnsConfig")
    found += scheduling.gates_and_spread(spec, path)
    found += windows.host_process(spec, path)
    found += security.own_users(spec, path)
    found += _host_name(spec, path) + _names(spec, path)
    found += windows.validate(spec, path)
    return found + _file_keys(spec, path)


def _claims(spec: Object, path: str) -> list[FieldError]:
    found, seen = list[FieldError](), set[str]()
    for index, claim in enumerate(spec.get("resourceClaims") or ()):
        where, name = f"{path}[{index}]", claim.get("name") or ""
        if not name:
            found.append(field.required(f"{where}.name"))
        elif name in seen:
            found.append(field.duplicate(f"{where}.name", name))
        else:
            found += formats.each(names.dns_label, name, f"{where}.name")
            seen.add(name)
        own, template = claim.get("resourceClaimName"), claim.get("resourceClaimTemplateName")
        shown = field.Struct({"Name": name, "ResourceClaimName": own, "ResourceClaimTemplateName": template})
        if own is not None and template is not None:
            detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            found.append(field.invalid(where, shown, detail))
        if own is None and template is None:
            detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            found.append(field.invalid(where, shown, detail))
        for key, value in (("resourceClaimName", own), ("resourceClaimTemplateName", template)):
            if value is not None:
                found += formats.each(names.dns_subdomain, value, f"{where}.{key}")
    return found


def _policies(spec: Object, path: str) -> list[FieldError]:
    found, kinds = [], (("restartPolicy", _RESTART_POLICIES), ("dnsPolicy", _DNS_POLICIES))
    for key, allowed in kinds:
        if not spec.get(key):
            found.append(field.required(f"{path}.{key}"))
        elif spec[key] not in allowed:
            found.append(field.not_supported(f"{path}.{key}", spec[key], allowed))
    return found


def _host_name(spec: Object, path: str) -> list[FieldError]:
    name, where = spec.get("hostnameOverride"), f"{path}.hostnameOverride"
    if name is None:
        return []
    found: list[FieldError] = []
    for key in ("setHostnameAsFQDN", "hostNetwork"):
        if spec.get(key):
            found.append(field.forbidden(where, f"may not be specified when {key} is true"))
    if len(name.encode()) > _MAX_HOST_NAME:
        found.append(field.too_long(where, _MAX_HOST_NAME))
    return found + formats.each(names.dns_subdomain, name, where)


def _names(spec: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for key, check in (
        ("serviceAccountName", names.dns_subdomain),
        ("nodeName", names.dns_subdomain),
        ("activeDeadlineSeconds", None),
        ("hostname", names.dns_label),
        ("subdomain", names.dns_label),
    ):
        if check is not None:
            found += formats.each(check, spec[key], f"{path}.{key}") if spec.get(key) else []
        elif (deadline := spec.get(key)) is not None and not 1 <= deadline < 1 << 31:
            found.append(field.invalid(f"{path}.{key}", deadline, names.between(1, (1 << 31) - 1)))
    found += scheduling.tolerations(spec, path)
    found += _host_aliases(spec, f"{path}.hostAliases")
    if spec.get("priorityClassName"):
        found += formats.each(names.dns_subdomain, spec["priorityClassName"], f"{path}.priorityClassName")
    if spec.get("runtimeClassName") is not None:
        found += formats.each(names.dns_subdomain, spec["runtimeClassName"], f"{path}.runtimeClassName")
    policy, where = spec.get("preemptionPolicy"), f"{path}.preemptionPolicy"
    if policy == "":
        found.append(field.required(where))
    elif policy is not None and policy not in _PREEMPTION:
        found.append(field.not_supported(where, policy, _PREEMPTION))
    for name, value in (spec.get("overhead") or {}).items():
        where = f"{path}.overhead.limits[{name}]"
        found += container_resources.container_name(name, where)
        found += container_resources.amount(name, value, where)
    return found


def _file_keys(spec: Object, path: str) -> list[FieldError]:
    """Check that variables from files name a volume whose files containers share."""
    found, known = list[FieldError](), {v.get("name") or "": v for v in spec.get("volumes") or ()}
    for container, where in containers.every(spec, path):
        for index, variable in enumerate(container.get("env") or ()):
            ref = (variable.get("valueFrom") or {}).get("fileKeyRef")
            if ref is None:
                continue
            name, place = ref.get("volumeName") or "", f"{where}.env[{index}].valueFrom.fileKeyRef.volumeName"
            if name not in known:
                found.append(field.not_found(place, name))
            elif known[name].get("emptyDir") is None:
                detail = "referenced volume must be of type emptyDir"
                found.append(field.invalid(place, name, detail))
    return found


def _dns(spec: Object, path: str) -> list[FieldError]:
    config = spec.get("dnsConfig") or {}
    servers, searches = config.get("nameservers") or (), config.get("searches") or ()
    if spec.get("dnsPolicy") == "None" and spec.get("dnsConfig") is None:
        return [field.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")]
    if spec.get("dnsPolicy") == "None" and not servers:
        shown = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        return [field.required(f"{path}.nameservers", shown)]
    found = []
    if len(servers) > _MAX_NAMESERVERS:
        detail = f"must not have more than {_MAX_NAMESERVERS} nameservers"
        found.append(field.invalid(f"{path}.nameservers", list(servers), detail))
    for index, server in enumerate(servers):
        found += formats.each(formats.ip, server, f"{path}.nameservers[{index}]")
    if len(searches) > _MAX_SEARCHES:
        detail = f"must not have more than {_MAX_SEARCHES} search paths"
        found.append(field.invalid(f"{path}.searches", list(searches), detail))
    if len(" ".join(searches)) > _MAX_SEARCH_CHARACTERS:
        limit = f"{_MAX_SEARCH_CHARACTERS} characters (including spaces)"
        detail = f"must not have more than {limit} in the search list"
        found.append(field.invalid(f"{path}.searches", list(searches), detail))
    for index, search in enumerate(searches):
        if search != ".":
            where = f"{path}.searches[{index}]"
            found += formats.each(names.loose_subdomain, search.removesuffix("."), where)
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            found.append(field.required(f"{path}.options[{index}]", "must not be empty"))
    return found


def _host_aliases(spec: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        found += formats.each(formats.ip, alias.get("ip") or "", f"{path}[{index}].ip")
        for number, name in enumerate(alias.get("hostnames") or ()):
            found += formats.each(names.dns_subdomain, name, f"{path}[{index}].hostnames[{number}]")
    return found
