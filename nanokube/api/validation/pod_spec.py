"""Validation of a pod spec, of a Pod or a template. Pure. Source: pkg/apis/core/validation/validation.go."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import containers, metadata, names, scheduling, security, volumes

# Specs found valid. The name below is none that a valid spec can have, so no two volumes are taken for one.
_VALID: Final[set[bytes]] = set()
_MOST_REMEMBERED: Final = 256
_MEMORABLE_BYTES: Final = 16_384
_TOKEN_VOLUME: Final = re.compile(rb'"name":"kube-api-access-[a-z0-9]{5}"')

_RESTART_POLICIES: Final = ("Always", "OnFailure", "Never")  # as upstream lists them
_DNS_POLICIES: Final = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_MAX_NAMESERVERS: Final = 3
_MAX_SEARCHES: Final = 32
_MAX_SEARCH_CHARACTERS: Final = 2048


def validate(spec: Object, path: str) -> list[FieldError]:
    """Check a pod spec at `path`."""
    key = _content(spec)
    if key in _VALID:
        return []
    found = _validate(spec, path)
    if not found and len(key) <= _MEMORABLE_BYTES:
        if len(_VALID) >= _MOST_REMEMBERED:
            _VALID.clear()
        _VALID.add(key)
    return found


def _content(spec: Object) -> bytes:
    """Return what decides whether a spec is valid; replicas of a template differ in one random name only."""
    content = orjson.dumps(spec)
    drawn = _TOKEN_VOLUME.search(content)
    return content.replace(drawn[0], b'"name":"kube-api-access-"') if drawn else content


def _validate(spec: Object, path: str) -> list[FieldError]:
    found = volumes.validate(spec.get("volumes") or (), f"{path}.volumes")
    volume_names = {v.get("name") for v in spec.get("volumes") or ()}
    found += containers.validate(spec, path, volume_names)
    found += _policies(spec, path)
    found += _names(spec, path)
    found += _dns(spec, f"{path}.dnsConfig")
    found += _host_aliases(spec, f"{path}.hostAliases")
    found += security.validate_pod(spec, f"{path}.securityContext")
    return found + scheduling.validate(spec, path)


def _policies(spec: Object, path: str) -> list[FieldError]:
    found = []
    restart, dns = spec.get("restartPolicy"), spec.get("dnsPolicy")
    if not restart:
        found.append(field.required(f"{path}.restartPolicy"))
    elif restart not in _RESTART_POLICIES:
        found.append(field.not_supported(f"{path}.restartPolicy", restart, _RESTART_POLICIES))
    if not dns:
        found.append(field.required(f"{path}.dnsPolicy"))
    elif dns not in _DNS_POLICIES:
        found.append(field.not_supported(f"{path}.dnsPolicy", dns, _DNS_POLICIES))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline < 1 << 31:
        message = names.between(1, (1 << 31) - 1)
        found.append(field.invalid(f"{path}.activeDeadlineSeconds", deadline, message))
    return found


def _names(spec: Object, path: str) -> list[FieldError]:
    checks: tuple[tuple[str, Any], ...] = (
        ("serviceAccountName", names.dns_subdomain),
        ("nodeName", names.dns_subdomain),
        ("priorityClassName", names.dns_subdomain),
        ("runtimeClassName", names.dns_subdomain),
        ("hostname", names.dns_label),
        ("subdomain", names.dns_label),
    )
    found = [
        field.invalid(f"{path}.{key}", spec[key], message)
        for key, check in checks
        if spec.get(key)
        for message in check(spec[key])
    ]
    found += metadata.labels(spec.get("nodeSelector"), f"{path}.nodeSelector")
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
        found += [field.invalid(f"{path}.nameservers[{index}]", server, m) for m in names.ip_address(server)]
    if len(searches) > _MAX_SEARCHES:
        detail = f"must not have more than {_MAX_SEARCHES} search paths"
        found.append(field.invalid(f"{path}.searches", list(searches), detail))
    if len(" ".join(searches)) > _MAX_SEARCH_CHARACTERS:
        limit = f"{_MAX_SEARCH_CHARACTERS} characters (including spaces)"
        detail = f"must not have more than {limit} in the search list"
        found.append(field.invalid(f"{path}.searches", list(searches), detail))
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            found.append(field.required(f"{path}.options[{index}]", "must not be empty"))
    return found


def _host_aliases(spec: Object, path: str) -> list[FieldError]:
    found = []
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        ip = alias.get("ip") or ""
        found += [field.invalid(f"{path}[{index}].ip", ip, m) for m in names.ip_address(ip)]
        for name in alias.get("hostnames") or ():
            found += [field.invalid(f"{path}[{index}].hostnames", name, m) for m in names.dns_subdomain(name)]
    return found
