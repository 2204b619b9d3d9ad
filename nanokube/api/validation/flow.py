"""Validation of FlowSchemas and PriorityLevelConfigurations. Pure.

Source: pkg/apis/flowcontrol/validation/validation.go.
"""

from __future__ import annotations

import math
from typing import Any, Final

from nanokube.api import field, flow_defaults, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import conditions, formats, names

MAX_HASH_BITS: Final = 60  # apiserver/pkg/util/shufflesharding
_MAX_PRECEDENCE: Final = 10_000
_MAX_QUEUES: Final = 10_000_000
_DISTINGUISHERS: Final = ("ByNamespace", "ByUser")
_TYPES: Final = ("Exempt", "Limited")
_RESPONSES: Final = ("Queue", "Reject")
_ROUND_TRIP: Final = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares"
_VERBS: Final = (
    "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch",
)  # fmt: skip
# kind of a subject, and the field that says who
_SUBJECTS: Final = {"ServiceAccount": "serviceAccount", "User": "user", "Group": "group"}


def validate_schema(obj: Object) -> list[FieldError]:
    """Check a FlowSchema."""
    name, spec, found = objects.name(obj), objects.spec(obj), list[FieldError]()
    found += _precedence(name, spec.get("matchingPrecedence") or 0, "spec.matchingPrecedence")
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in _DISTINGUISHERS:
        shown = {"Type": method.get("type") or ""}
        found.append(field.not_supported("spec.distinguisherMethod.type", shown, _DISTINGUISHERS))
    level, path = (
        (spec.get("priorityLevelConfiguration") or {}).get("name") or "",
        "spec.priorityLevelConfiguration",
    )
    if level:
        found += formats.each(names.dns_subdomain, level, f"{path}.name")
    else:
        found.append(field.required(f"{path}.name", "must reference a priority level"))
    for index, rule in enumerate(spec.get("rules") or ()):
        found += _rule(rule, f"spec.rules[{index}]")
    fixed = flow_defaults.MANDATORY_SCHEMAS.get(name)
    if fixed is not None and spec != fixed:
        found.append(field.invalid("spec", dict(spec), f"spec of '{name}' must equal the fixed value"))
    return found


def _precedence(name: str, number: int, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if number <= 0:
        found.append(field.invalid(path, number, "must be a positive value"))
    if number > _MAX_PRECEDENCE:
        found.append(field.invalid(path, number, f"must not be greater than {_MAX_PRECEDENCE}"))
    if number == 1 and name != flow_defaults.EXEMPT:
        detail = "only the schema named 'exempt' may have matchingPrecedence 1"
        found.append(field.invalid(path, number, detail))
    return found


def _rule(rule: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if not rule.get("subjects"):
        found.append(field.required(f"{path}.subjects", "subjects must contain at least one value"))
    for index, subject in enumerate(rule.get("subjects") or ()):
        found += _subject(subject, f"{path}.subjects[{index}]")
    resources, urls = rule.get("resourceRules") or (), rule.get("nonResourceRules") or ()
    if not resources and not urls:
        detail = "at least one of resourceRules and nonResourceRules has to be non-empty"
        found.append(field.required(path, detail))
    for index, each in enumerate(resources):
        found += _resource_rule(each, f"{path}.resourceRules[{index}]")
    for index, each in enumerate(urls):
        found += _url_rule(each, f"{path}.nonResourceRules[{index}]")
    return found


def _subject(subject: Object, path: str) -> list[FieldError]:
    kind = subject.get("kind") or ""
    key = _SUBJECTS.get(kind)
    if key is None:
        return [field.not_supported(f"{path}.kind", kind, sorted(_SUBJECTS))]
    who, where = subject.get(key), f"{path}.{key}"
    if who is None:
        found = [field.required(where, f"{key} is required when subject kind is '{kind}'")]
    else:
        found = [] if who.get("name") else [field.required(f"{where}.name")]
        found += _account(who, where) if kind == "ServiceAccount" else []
    for other, unwanted in _SUBJECTS.items():
        if other != kind and subject.get(unwanted) is not None:
            detail = f"{unwanted} is forbidden when subject kind is not '{other}'"
            found.append(field.forbidden(f"{path}.{unwanted}", detail))
    return found


def _account(account: Object, path: str) -> list[FieldError]:
    name, namespace, found = account.get("name") or "", account.get("namespace") or "", list[FieldError]()
    if name not in ("", "*"):
        found += formats.each(names.dns_subdomain, name, f"{path}.name")
    if not namespace:
        return [*found, field.required(f"{path}.namespace", "must specify namespace for service account")]
    return found + formats.each(names.dns_label, namespace, f"{path}.namespace")


def _verbs(verbs: list[str], path: str) -> list[FieldError]:
    if not verbs:
        return [field.required(path, "verbs must contain at least one value")]
    if "*" in verbs:
        return _alone(verbs, "verbs", path)
    return [] if set(verbs) <= set(_VERBS) else [field.not_supported(path, verbs, _VERBS)]


def _alone(values: list[str], what: str, path: str) -> list[FieldError]:
    if len(values) > 1 and "*" in values:
        return [field.invalid(path, values, f"if '*' is present, must not specify other {what}")]
    return []


def _resource_rule(rule: Object, path: str) -> list[FieldError]:
    found = _verbs(rule.get("verbs") or [], f"{path}.verbs")
    for key, one, other in (("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")):
        values = rule.get(key) or []
        if not values:
            detail = f"resource rules must supply at least one {one}"
            found.append(field.required(f"{path}.{key}", detail))
        found += _alone(values, other, f"{path}.{key}")
    namespaces, where = rule.get("namespaces") or [], f"{path}.namespaces"
    if not namespaces and not rule.get("clusterScope"):
        detail = "resource rules that are not cluster scoped must supply at least one namespace"
        found.append(field.required(where, detail))
    elif "*" in namespaces:
        found += _alone(namespaces, "namespaces", where)
    else:
        intro = "each member of this list must be '*' or a DNS-1123 label; "
        for index, name in enumerate(namespaces):
            found += (field.invalid(f"{where}[{index}]", name, intro + m) for m in names.dns_label(name))
    return found


def _url_rule(rule: Object, path: str) -> list[FieldError]:
    found = _verbs(rule.get("verbs") or [], f"{path}.verbs")
    urls, where = rule.get("nonResourceURLs") or [], f"{path}.nonResourceURLs"
    if not urls:
        return [*found, field.required(where, "nonResourceURLs must contain at least one value")]
    if "*" in urls:
        return found + _alone(urls, "non-resource URLs", where)
    for index, url in enumerate(urls):
        problem = _url_problem(url)
        if problem:
            found.append(field.invalid(f"{where}[{index}]", url, problem))
    return found


def _url_problem(url: str) -> str:
    if not url:
        return "must not be empty"
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    if "*" in url and (url.count("*") > 1 or not url.endswith("/*")):
        return "wildcard can only do suffix matching"
    return ""


def validate_level(obj: Object) -> list[FieldError]:
    """Check a PriorityLevelConfiguration."""
    name, spec, found = objects.name(obj), objects.spec(obj), list[FieldError]()
    if _ROUND_TRIP in objects.annotations(obj):
        detail = f"annotation '{_ROUND_TRIP}' is forbidden"
        found.append(field.forbidden("metadata.annotations", detail))
    kind, limited, exempt = spec.get("type") or "", spec.get("limited"), spec.get("exempt")
    if (name == flow_defaults.EXEMPT) != (kind == "Exempt"):
        detail = "must be 'Exempt' if and only if `name` is 'exempt'"
        found.append(field.invalid("spec.type", kind, detail))
    if kind == "Exempt":
        if limited is not None:
            detail = "must be nil if the type is not Limited"
            found.append(field.forbidden("spec.limited", detail))
        found += _shares(exempt or {}, "spec.exempt")
    elif kind == "Limited":
        found += _limited_or_missing(limited, exempt)
    else:
        found.append(field.not_supported("spec.type", kind, _TYPES))
    return found + _fixed_level(name, spec)


def _limited_or_missing(limited: Object | None, exempt: Object | None) -> list[FieldError]:
    found: list[FieldError] = []
    if exempt is not None:
        found.append(field.forbidden("spec.exempt", "must be nil if the type is Limited"))
    if limited is None:
        return [*found, field.required("spec.limited", "must not be empty when type is Limited")]
    return found + _limited(limited, "spec.limited")


def _fixed_level(name: str, spec: Object) -> list[FieldError]:
    fixed = flow_defaults.MANDATORY_LEVELS.get(name)
    if fixed is None:
        return []
    if name != flow_defaults.EXEMPT:
        detail = f"spec of '{name}' must equal the fixed value"
        return [] if spec == fixed else [field.invalid("spec", dict(spec), detail)]
    rest, fixed_rest = ({k: v for k, v in each.items() if k != "exempt"} for each in (spec, fixed))
    detail = f"spec of '{name}' except the 'spec.exempt' field must equal the fixed value"
    return [] if rest == fixed_rest else [field.invalid("spec", dict(spec), detail)]


def _shares(level: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    shares, lendable = level.get("nominalConcurrencyShares"), level.get("lendablePercent")
    if shares is not None and shares < 0:
        detail = "must be a non-negative integer"
        found.append(field.invalid(f"{path}.nominalConcurrencyShares", shares, detail))
    if lendable is not None and not 0 <= lendable <= 100:
        found.append(field.invalid(f"{path}.lendablePercent", lendable, names.between(0, 100)))
    return found


def _limited(level: Object, path: str) -> list[FieldError]:
    found, limit = _shares(level, path), level.get("borrowingLimitPercent")
    response = level.get("limitResponse") or {}
    kind, queuing, where = response.get("type") or "", response.get("queuing"), f"{path}.limitResponse"
    if kind == "Reject" and queuing is not None:
        detail = "must be nil if limited.limitResponse.type is not Limited"
        found.append(field.forbidden(f"{where}.queuing", detail))
    elif kind == "Queue" and queuing is None:
        detail = "must not be empty if limited.limitResponse.type is Limited"
        found.append(field.required(f"{where}.queuing", detail))
    elif kind == "Queue":
        found += _queuing(queuing or {}, f"{where}.queuing")
    found += formats.choice(kind, _RESPONSES, f"{where}.type")
    if limit is not None and limit < 0:
        detail = "if specified, must be a non-negative integer"
        found.append(field.invalid(f"{path}.borrowingLimitPercent", limit, detail))
    return found


def _queuing(queuing: Object, path: str) -> list[FieldError]:
    length, queues, hand = (queuing.get(k) or 0 for k in ("queueLengthLimit", "queues", "handSize"))
    found: list[FieldError] = []
    for key, number in (("queueLengthLimit", length), ("queues", queues), ("handSize", hand)):
        if number <= 0:
            found.append(field.invalid(f"{path}.{key}", number, "must be positive"))
    if queues > _MAX_QUEUES:
        found.append(field.invalid(f"{path}.queues", queues, f"must not be greater than {_MAX_QUEUES}"))
    if hand > queues:
        detail = f"should not be greater than queues ({queues})"
        found.append(field.invalid(f"{path}.handSize", hand, detail))
    elif hand > 0 and math.ceil(math.log2(queues) * hand) > MAX_HASH_BITS:
        detail = (
            f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than "
            f"{MAX_HASH_BITS}"
        )
        found.append(field.invalid(f"{path}.handSize", hand, detail))
    return found


def validate_status(new: Object, old: Object) -> list[FieldError]:
    """Check that each condition has a type, and none is there twice."""
    listed: list[Any] = list(objects.conditions(new))
    found = conditions.unique(listed, "status.conditions")
    for index, condition in enumerate(listed):
        if not condition.get("type"):
            found.append(field.required(f"status.conditions[{index}].type"))
    return found
