"""Validation of what containers and Pods ask for: requests, limits, claims. Pure.

Source: pkg/apis/core/validation/validation.go, validateResourceRequirements; pkg/apis/core/helper/helpers.go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from nanokube.api import field, quantity, usage
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, metadata, names

HUGEPAGES: Final = "hugepages-"
_COMPUTE: Final = ("cpu", "memory")
_OF_CONTAINERS: Final = frozenset(("cpu", "memory", "ephemeral-storage"))
_WHOLE: Final = frozenset(
    (
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    )
)
_STANDARD: Final = _WHOLE | {
    *_OF_CONTAINERS,
    *(f"{kind}.{name}" for kind in ("requests", "limits") for name in _OF_CONTAINERS),
    "storage",
    "requests.storage",
}
_OF_PODS: Final = ("cpu", HUGEPAGES, "memory")
_NAMED: Final = "must be one of the names in pod.spec.resourceClaims"

Check = Callable[[str, str], list[FieldError]]


def of_container(block: Object, path: str, claims: Collection[str]) -> list[FieldError]:
    """Check what a container asks for. claims: names of the Pod's claims."""
    return _block(block, path, container_name) + _claims(block.get("claims") or (), f"{path}.claims", claims)


def of_pod(spec: Object, path: str) -> list[FieldError]:
    """Check what a Pod asks for as a whole."""
    block = spec.get("resources")
    if block is None:
        return []
    if (spec.get("os") or {}).get("name") == "windows":
        return [field.forbidden(path, "may not be set for a windows pod")]
    found: list[FieldError] = []
    if block.get("claims"):
        found.append(field.forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level"))
    known = {name for c in spec.get("resourceClaims") or () if (name := c.get("name"))}
    found += _block(block, path, _pod_name) + _claims(block.get("claims") or (), f"{path}.claims", known)
    return found + _consistency(spec, block, path)


def amount(name: str, value: Any, path: str) -> list[FieldError]:
    """Check an amount of a resource."""
    parsed = quantity.parse(value)
    found = [field.invalid(path, str(value), metadata.NEGATIVE)] if parsed.amount < 0 else []
    if (name in _WHOLE or is_extended(name)) and parsed.milli % 1000:
        found.append(field.invalid(path, str(value), "must be an integer"))
    return found


def is_native(name: str) -> bool:
    """Tell whether a resource is of Kubernetes itself."""
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """Tell whether a resource is somebody else's, of which there are whole ones only."""
    if is_native(name) or name.startswith("requests."):
        return False
    return not names.qualified_name(f"requests.{name}")


def container_name(name: str, path: str) -> list[FieldError]:
    """Check the name of a resource that a container may ask for."""
    found = resource_name(name, path)
    if "/" not in name:
        if name not in _OF_CONTAINERS and not name.startswith(HUGEPAGES):
            found.append(field.invalid(path, name, "must be a standard resource for containers"))
    elif not is_native(name) and not is_extended(name):
        found.append(field.invalid(path, name, "doesn't follow extended resource name standard"))
    return found


def resource_name(name: str, path: str) -> list[FieldError]:
    """Check the name of any resource."""
    if found := formats.each(names.qualified_name, name, path):
        return found
    if "/" not in name and name not in _STANDARD and not name.startswith(HUGEPAGES):
        return [field.invalid(path, name, "must be a standard resource type or fully qualified")]
    return []


def _pod_name(name: str, path: str) -> list[FieldError]:
    if found := resource_name(name, path):
        return found
    if name in _COMPUTE or name.startswith(HUGEPAGES):
        return []
    return [field.not_supported(path, name, _OF_PODS)]


def _block(block: Object, path: str, check: Check) -> list[FieldError]:
    limits, requests = block.get("limits") or {}, block.get("requests") or {}
    found: list[FieldError] = []
    for name, value in limits.items():
        where = f"{path}.limits[{name}]"
        found += check(name, where) + amount(name, value, where) + _pages(name, value, where)
    for name, value in requests.items():
        where = f"{path}.requests[{name}]"
        found += check(name, where) + amount(name, value, where)
        found += _within(name, value, limits.get(name), path) + _pages(name, value, where)
    asked = {*limits, *requests}
    if any(name.startswith(HUGEPAGES) for name in asked) and asked.isdisjoint(_COMPUTE):
        found.append(field.forbidden(path, "HugePages require cpu or memory"))
    return found


def _within(name: str, value: Any, limit: Any, path: str) -> list[FieldError]:
    may_exceed = is_native(name) and not name.startswith(HUGEPAGES)
    if limit is None:
        detail = "Limit must be set for non overcommitable resources"
        return [] if may_exceed else [field.required(f"{path}.limits", detail)]
    asked, most, where = quantity.parse(value), quantity.parse(limit), f"{path}.requests"
    if asked != most and not may_exceed:
        return [field.invalid(where, str(value), f"must be equal to {name} limit of {limit}")]
    if asked > most:
        return [field.invalid(where, str(value), f"must be less than or equal to {name} limit of {limit}")]
    return []


def _pages(name: str, value: Any, path: str) -> list[FieldError]:
    if not name.startswith(HUGEPAGES):
        return []
    size = name.removeprefix(HUGEPAGES)
    if quantity.is_valid(size):
        page = quantity.parse(size)
        if page.amount > 0 and not page.milli % 1000 and not quantity.value(value) % page.value:
            return []
    return [field.invalid(path, str(value), f"{value} is not positive integer multiple of {name}")]


def _claims(claims: Any, path: str, known: Collection[str]) -> list[FieldError]:
    found, seen = list[FieldError](), set[str]()
    for index, claim in enumerate(claims):
        where, name, request = f"{path}[{index}]", claim.get("name") or "", claim.get("request") or ""
        if not name:
            found.append(field.required(where))
            continue
        if name in seen:
            found.append(field.duplicate(where, name))
        else:
            if request:
                found += formats.each(names.dns_label, request, f"{where}.request")
            key = f"{name}/{request}" if request else name
            if key in seen:
                found.append(field.duplicate(where, key))
            elif not request:
                found += [field.duplicate(where, name) for each in seen if each.startswith(f"{name}/")]
            seen.add(key)
        if name not in known:
            listed = f": {', '.join(sorted(known))}" if known else " which is empty"
            found.append(FieldError(field.NOT_FOUND, where, name, _NAMED + listed))
    return found


def _consistency(spec: Object, block: Object, path: str) -> list[FieldError]:
    """Check that the Pod's own amounts hold its containers'."""
    found = []
    alone = {key: value for key, value in spec.items() if key not in ("resources", "overhead")}
    for key in ("requests", "limits"):
        own: Mapping[str, Any] = block.get(key) or {}
        for name, total in usage.pod_amounts(alone, key).items():
            counts = key == "requests" or name.startswith(HUGEPAGES)
            if counts and name in own and total > quantity.parse(own[name]):
                detail = f"must be greater than or equal to aggregate container {key} of {total}"
                found.append(field.invalid(f"{path}.{key}[{name}]", str(own[name]), detail))
    limits = block.get("limits") or {}
    for index, container in enumerate(spec.get("containers") or ()):
        for name, value in ((container.get("resources") or {}).get("limits") or {}).items():
            if name in limits and quantity.parse(value) > quantity.parse(limits[name]):
                detail = f"must be less than or equal to pod limits of {limits[name]}"
                where = f"{path}.containers[{index}][{name}].limits"
                found.append(field.invalid(where, str(value), detail))
    return found
