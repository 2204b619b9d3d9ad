"""Validation of tolerations, affinity, spread constraints and gates. Pure.

Source: pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from typing import Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import metadata, names

_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NODE_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_UNSATISFIABLE: Final = ("DoNotSchedule", "ScheduleAnyway")


def validate(spec: Object, path: str) -> list[FieldError]:
    """Check what a pod spec tells the scheduler."""
    found: list[FieldError] = []
    for index, each in enumerate(spec.get("tolerations") or ()):
        found += toleration(each, f"{path}.tolerations[{index}]")
    affinity = spec.get("affinity") or {}
    found += _node_affinity(affinity.get("nodeAffinity") or {}, f"{path}.affinity.nodeAffinity")
    for key in ("podAffinity", "podAntiAffinity"):
        found += _pod_affinity(affinity.get(key) or {}, f"{path}.affinity.{key}")
    found += _spread(spec, f"{path}.topologySpreadConstraints")
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        name = gate.get("name") or ""
        found += [
            field.invalid(f"{path}.schedulingGates[{index}].name", name, m)
            for m in names.qualified_name(name)
        ]
    return found


def toleration(each: Object, path: str) -> list[FieldError]:
    """Check a toleration of a taint."""
    found = []
    key, operator = each.get("key") or "", each.get("operator") or "Equal"
    value, effect = each.get("value") or "", each.get("effect") or ""
    if key:
        found += [field.invalid(f"{path}.key", key, m) for m in names.qualified_name(key)]
    elif operator != "Exists":
        detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        found.append(field.invalid(f"{path}.operator", each.get("operator") or "", detail))
    if each.get("tolerationSeconds") is not None and effect != "NoExecute":
        detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        found.append(field.invalid(f"{path}.effect", effect, detail))
    if operator == "Equal":
        found += [field.invalid(f"{path}.operator", value, m) for m in names.label_value(value)]
    elif operator == "Exists":
        if value:
            found.append(
                field.invalid(f"{path}.operator", each, "value must be empty when `operator` is 'Exists'")
            )
    else:
        found.append(field.not_supported(f"{path}.operator", operator, ("Equal", "Exists")))
    if effect and effect not in _EFFECTS:
        found.append(field.not_supported(f"{path}.effect", effect, _EFFECTS))
    return found


def _node_affinity(affinity: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    where = f"{path}.requiredDuringSchedulingIgnoredDuringExecution"
    if required is not None:
        found += node_selector(required, where)
    for index, preferred in enumerate(affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        where = f"{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        found += _weight(preferred, where)
        found += _node_term(preferred.get("preference") or {}, f"{where}.preference")
    return found


def node_selector(selector: Object, path: str) -> list[FieldError]:
    """Check a NodeSelector: alternatives, of which there must be one."""
    terms, path = selector.get("nodeSelectorTerms") or (), f"{path}.nodeSelectorTerms"
    if not terms:
        return [field.required(path, "must have at least one node selector term")]
    return [error for index, term in enumerate(terms) for error in _node_term(term, f"{path}[{index}]")]


def _node_term(term: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for index, rule in enumerate(term.get("matchExpressions") or ()):
        where, operator, values = (
            f"{path}.matchExpressions[{index}]",
            rule.get("operator"),
            rule.get("values") or (),
        )
        if operator not in _NODE_OPERATORS:
            found.append(field.invalid(f"{where}.operator", operator, "not a valid selector operator"))
        elif operator in ("In", "NotIn") and not values:
            detail = "must be specified when `operator` is 'In' or 'NotIn'"
            found.append(field.required(f"{where}.values", detail))
        elif operator in ("Exists", "DoesNotExist") and values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            found.append(field.forbidden(f"{where}.values", detail))
        elif operator in ("Gt", "Lt") and len(values) != 1:
            detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            found.append(field.required(f"{where}.values", detail))
        key = rule.get("key") or ""
        found += [field.invalid(f"{where}.key", key, m) for m in names.qualified_name(key)]
    return found


def _pod_affinity(affinity: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for index, term in enumerate(affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()):
        found += _pod_term(term, f"{path}.requiredDuringSchedulingIgnoredDuringExecution[{index}]")
    for index, preferred in enumerate(affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        where = f"{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        found += _weight(preferred, where)
        found += _pod_term(preferred.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm")
    return found


def _pod_term(term: Object, path: str) -> list[FieldError]:
    found = metadata.label_selector(term.get("labelSelector"), f"{path}.labelSelector")
    found += metadata.label_selector(term.get("namespaceSelector"), f"{path}.namespaceSelector")
    key = term.get("topologyKey") or ""
    if not key:
        return [*found, field.required(f"{path}.topologyKey", "can not be empty")]
    return found + [field.invalid(f"{path}.topologyKey", key, m) for m in names.qualified_name(key)]


def _weight(preferred: Object, path: str) -> list[FieldError]:
    weight = preferred.get("weight") or 0
    return (
        [] if 1 <= weight <= 100 else [field.invalid(f"{path}.weight", weight, "must be in the range 1-100")]
    )


def _spread(spec: Object, path: str) -> list[FieldError]:
    found, constraints = list[FieldError](), spec.get("topologySpreadConstraints") or ()
    pairs = [(c.get("topologyKey") or "", c.get("whenUnsatisfiable") or "") for c in constraints]
    for index, constraint in enumerate(constraints):
        where = f"{path}[{index}]"
        skew, key = constraint.get("maxSkew") or 0, constraint.get("topologyKey") or ""
        action = constraint.get("whenUnsatisfiable") or ""
        if skew <= 0:
            found.append(field.invalid(f"{where}.maxSkew", skew, "must be greater than zero"))
        if not key:
            found.append(field.required(f"{where}.topologyKey", "can not be empty"))
        if action not in _UNSATISFIABLE:
            found.append(field.not_supported(f"{where}.whenUnsatisfiable", action, _UNSATISFIABLE))
        if (key, action) in pairs[index + 1 :]:
            shown = f"{where}.{{topologyKey, whenUnsatisfiable}}"
            found.append(field.duplicate(shown, f"{{{key}, {action}}}"))
        domains = constraint.get("minDomains")
        if domains is not None and domains <= 0:
            found.append(field.invalid(f"{where}.minDomains", domains, "must be greater than zero"))
        if domains is not None and action != "DoNotSchedule":
            detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
            found.append(field.invalid(f"{where}.minDomains", domains, detail))
        found += metadata.label_selector(constraint.get("labelSelector"), f"{where}.labelSelector")
    return found
