"""Validation of ResourceQuotas: what can be counted, and which scopes may be applied to it. Pure.

Source: pkg/apis/core/validation/validation.go (ValidateResourceQuota), pkg/apis/core/helper/helpers.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nanokube.api import field, objects, quantity
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import metadata, names

_COUNTED: Final = (
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
)
_COMPUTE: Final = ("cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory")
_STORAGE: Final = (
    "ephemeral-storage",
    "requests.ephemeral-storage",
    "limits.ephemeral-storage",
    "requests.storage",
)
_STANDARD: Final = frozenset((*_COUNTED, *_COMPUTE, *_STORAGE))
_HUGE_PAGES: Final = ("hugepages-", "requests.hugepages-")
_OF_PODS: Final = frozenset(("pods", *_COMPUTE))
# scope -> the standard resources that it can narrow
_SCOPES: Final[Mapping[str, frozenset[str]]] = {
    "BestEffort": frozenset(("pods",)),
    "CrossNamespacePodAffinity": _OF_PODS,
    "NotBestEffort": _OF_PODS,
    "NotTerminating": _OF_PODS,
    "PriorityClass": _OF_PODS,
    "Terminating": _OF_PODS,
    "VolumeAttributesClass": frozenset(("persistentvolumeclaims", "requests.storage")),
}
_OPPOSITES: Final = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
_MUST_EXIST: Final = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
    "ResourceQuotaScopeCrossNamespacePodAffinity"
)


def validate_quota(obj: Object) -> list[FieldError]:
    """Check a ResourceQuota."""
    spec, found = objects.spec(obj), list[FieldError]()
    hard = spec.get("hard") or {}
    for name, amount in hard.items():
        found += _resource(name, f"spec.hard[{name}]")
        found += _amount(name, amount, f"spec.hard[{name}]")
    scopes, path = spec.get("scopes") or [], "spec.scopes"
    for scope in scopes:
        found += _scope(scope, hard, path, path, scopes, scopes)
    found += _conflicts(scopes, path, scopes)
    selector = spec.get("scopeSelector")
    return found + (_selector(selector, hard, scopes) if selector is not None else [])


def validate_quota_update(new: Object, old: Object) -> list[FieldError]:
    """Check that the scopes stayed."""
    wanted, before = (set(objects.spec(o).get("scopes") or ()) for o in (new, old))
    said = objects.spec(new).get("scopes") or []
    return [] if wanted == before else [field.invalid("spec.scopes", said, metadata.IMMUTABLE)]


def _is_standard(name: str) -> bool:
    return name in _STANDARD or name.startswith(_HUGE_PAGES)


def _resource(name: str, path: str) -> list[FieldError]:
    found = [field.invalid(path, name, message) for message in names.qualified_name(name)]
    if "/" in name or _is_standard(name):
        return found
    if not found and name != "storage":
        found.append(field.invalid(path, name, "must be a standard resource type or fully qualified"))
    return [*found, field.invalid(path, name, "must be a standard resource for quota")]


def _amount(name: str, amount: str, path: str) -> list[FieldError]:
    found, number = list[FieldError](), quantity.parse(amount)
    if number < quantity.parse("0"):
        found.append(field.invalid(path, amount, metadata.NEGATIVE))
    is_extended = "/" in name and "kubernetes.io/" not in name and not name.startswith("requests.")
    if (name in _COUNTED or is_extended) and number.milli % 1000:
        found.append(field.invalid(path, amount, "must be an integer"))
    return found


def amount(name: str, said: str, path: str) -> list[FieldError]:
    """Check one amount of a quota, and the name of what it is of."""
    return _resource(name, path) + _amount(name, said, path)


def _scope(
    scope: str, hard: Mapping[str, Any], path: str, applied_path: str, said: Any, applied_said: Any
) -> list[FieldError]:
    """Check one scope; `applied_…` say where and what is told when a resource is out of its reach."""
    found = [] if scope in _SCOPES else [field.invalid(path, said, "unsupported scope")]
    reach = _SCOPES.get(scope)
    out = [n for n in sorted(hard) if reach is not None and _is_standard(n) and n not in reach]
    text = "unsupported scope applied to resource"
    return found + [field.invalid(applied_path, applied_said, text) for _ in out]


def _conflicts(scopes: list[str], path: str, said: Any) -> list[FieldError]:
    return [
        field.invalid(path, said, "conflicting scopes") for pair in _OPPOSITES if set(pair) <= set(scopes)
    ]


def _shown(requirements: Sequence[Mapping[str, Any]]) -> field.Struct:
    """Show a scope selector as upstream prints its internal struct."""
    keys = (("scopeName", "ScopeName"), ("operator", "Operator"))
    terms = [
        {name: each.get(key) or "" for key, name in keys} | {"Values": each.get("values") or None}
        for each in requirements
    ]
    return field.Struct({"MatchExpressions": terms})


def _selector(selector: Mapping[str, Any], hard: Mapping[str, Any], scopes: list[str]) -> list[FieldError]:
    path, found = "spec.scopeSelector.matchExpressions", list[FieldError]()
    requirements = selector.get("matchExpressions") or []
    for each in requirements:
        scope, operator, values = each.get("scopeName") or "", each.get("operator") or "", each.get("values")
        found += _scope(scope, hard, f"{path}.scopeName", path, scope, _shown(requirements))
        is_plain = scope in _SCOPES and scope not in ("PriorityClass", "VolumeAttributesClass")
        if is_plain and operator != "Exists":
            found.append(field.invalid(f"{path}.operator", operator, _MUST_EXIST))
        found += _operator(operator, values or [], path)
    return found + _conflicts([each.get("scopeName") or "" for each in requirements], path, scopes)


def _operator(operator: str, values: list[str], path: str) -> list[FieldError]:
    if operator in ("In", "NotIn"):
        text = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
        return [] if values else [field.required(f"{path}.values", text)]
    if operator in ("Exists", "DoesNotExist"):
        text = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
        return [field.invalid(f"{path}.values", values, text)] if values else []
    return [field.invalid(f"{path}.operator", operator, "not a valid selector operator")]
