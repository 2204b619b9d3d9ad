"""Validation of tolerations, affinity, spread constraints and gates. Pure.

Source: pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, metadata, names

_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_UNSATISFIABLE: Final = ("DoNotSchedule", "ScheduleAnyway")
_INCLUSION: Final = ("Honor", "Ignore")
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_NO_SELECTOR: Final = "must not be specified when labelSelector is not set"


def affinity(spec: Object, path: str) -> list[FieldError]:
    """Check what nodes and neighbours a pod spec wants."""
    wanted, path = spec.get("affinity") or {}, f"{path}.affinity"
    found = _node_affinity(wanted.get("nodeAffinity") or {}, f"{path}.nodeAffinity")
    for key in ("podAffinity", "podAntiAffinity"):
        found += _pod_affinity(wanted.get(key) or {}, f"{path}.{key}")
    return found


def gates_and_spread(spec: Object, path: str) -> list[FieldError]:
    """Check what a Pod waits for, and how Pods are spread."""
    found, seen = list[FieldError](), set[str]()
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        where = f"{path}.readinessGates[{index}].conditionType"
        found += formats.each(names.qualified_name, gate.get("conditionType") or "", where)
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        name, where = gate.get("name") or "", f"{path}.schedulingGates[{index}]"
        found += formats.each(names.qualified_name, name, where)
        if name in seen:
            found.append(field.duplicate(where, name))
        seen.add(name)
    return found + _spread(spec, f"{path}.topologySpreadConstraints")


def tolerations(spec: Object, path: str) -> list[FieldError]:
    """Check the tolerations of a pod spec."""
    return [
        error
        for index, each in enumerate(spec.get("tolerations") or ())
        for error in toleration(each, f"{path}.tolerations[{index}]")
    ]


def toleration(each: Object, path: str) -> list[FieldError]:
    """Check a toleration of a taint. Lt and Gt are behind a gate."""
    key, operator = each.get("key") or "", each.get("operator") or ""
    value, effect = each.get("value") or "", each.get("effect") or ""
    found = formats.each(names.qualified_name, key, f"{path}.key") if key else []
    if not key and operator != "Exists":
        detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        found.append(field.invalid(f"{path}.operator", operator, detail))
    if each.get("tolerationSeconds") is not None and effect != "NoExecute":
        detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        found.append(field.invalid(f"{path}.effect", effect, detail))
    if operator in ("", "Equal"):
        if messages := names.label_value(value):
            found.append(field.invalid(f"{path}.operator", value, ";".join(messages)))
    elif operator == "Exists":
        if value:
            detail = "value must be empty when `operator` is 'Exists'"
            found.append(field.invalid(f"{path}.operator", value, detail))
    else:
        known = ("Equal", "Exists", "Lt", "Gt") if operator in ("Lt", "Gt") else ("Equal", "Exists")
        found.append(field.not_supported(f"{path}.operator", operator, known))
    if effect and effect not in _EFFECTS:
        found.append(field.not_supported(f"{path}.effect", effect, _EFFECTS))
    return found


def _node_affinity(wanted: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if wanted.get(_REQUIRED) is not None:
        found += node_selector(wanted[_REQUIRED], f"{path}.{_REQUIRED}")
    for index, preferred in enumerate(wanted.get(_PREFERRED) or ()):
        where = f"{path}.{_PREFERRED}[{index}]"
        found += _weight(preferred, where)
        found += _node_term(preferred.get("preference") or {}, f"{where}.preference", allows_any_value=True)
    return found


def node_selector(selector: Object, path: str) -> list[FieldError]:
    """Check a NodeSelector: alternatives, of which there must be one."""
    terms, path = selector.get("nodeSelectorTerms") or (), f"{path}.nodeSelectorTerms"
    if not terms:
        return [field.required(path, "must have at least one node selector term")]
    return [error for index, term in enumerate(terms) for error in _node_term(term, f"{path}[{index}]")]


def _node_term(term: Object, path: str, *, allows_any_value: bool = False) -> list[FieldError]:
    found: list[FieldError] = []
    for index, rule in enumerate(term.get("matchExpressions") or ()):
        found += _expression(rule, f"{path}.matchExpressions[{index}]", allows_any_value)
    for index, rule in enumerate(term.get("matchFields") or ()):
        found += _field(rule, f"{path}.matchFields[{index}]")
    return found


def _expression(rule: Object, path: str, allows_any_value: bool) -> list[FieldError]:
    operator, values, found = rule.get("operator") or "", rule.get("values") or (), list[FieldError]()
    if operator in ("In", "NotIn"):
        if not values:
            detail = "must be specified when `operator` is 'In' or 'NotIn'"
            found.append(field.required(f"{path}.values", detail))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            found.append(field.forbidden(f"{path}.values", detail))
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            found.append(field.required(f"{path}.values", detail))
    else:
        found.append(field.invalid(f"{path}.operator", operator, "not a valid selector operator"))
    found += formats.each(names.qualified_name, rule.get("key") or "", f"{path}.key")
    if not allows_any_value:
        for index, value in enumerate(values):
            found += formats.each(names.label_value, value, f"{path}.values[{index}]")
    return found


def _field(rule: Object, path: str) -> list[FieldError]:
    operator, values, key = rule.get("operator") or "", rule.get("values") or (), rule.get("key") or ""
    found: list[FieldError] = []
    if operator not in ("In", "NotIn"):
        found.append(field.invalid(f"{path}.operator", operator, "not a valid selector operator"))
    elif len(values) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        found.append(field.required(f"{path}.values", detail))
    if key != "metadata.name":
        return [*found, field.invalid(f"{path}.key", key, "not a valid field selector key")]
    for index, value in enumerate(values):
        found += formats.each(names.dns_subdomain, value, f"{path}.values[{index}]")
    return found


def _pod_affinity(wanted: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for index, term in enumerate(wanted.get(_REQUIRED) or ()):
        found += _pod_term(term, f"{path}.{_REQUIRED}[{index}]")
    for index, preferred in enumerate(wanted.get(_PREFERRED) or ()):
        where = f"{path}.{_PREFERRED}[{index}]"
        found += _weight(preferred, where)
        found += _pod_term(preferred.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm")
    return found


def _pod_term(term: Object, path: str) -> list[FieldError]:
    found = metadata.label_selector(term.get("labelSelector"), f"{path}.labelSelector")
    found += metadata.label_selector(term.get("namespaceSelector"), f"{path}.namespaceSelector")
    for name in term.get("namespaces") or ():
        found += formats.each(names.dns_label, name, f"{path}.namespace")
    mismatch = term.get("mismatchLabelKeys") or ()
    found += _label_keys(path, term.get("matchLabelKeys") or (), mismatch, term.get("labelSelector"))
    key = term.get("topologyKey") or ""
    if not key:
        found.append(field.required(f"{path}.topologyKey", "can not be empty"))
    return found + formats.each(names.qualified_name, key, f"{path}.topologyKey")


def _weight(preferred: Object, path: str) -> list[FieldError]:
    weight = preferred.get("weight") or 0
    return (
        [] if 1 <= weight <= 100 else [field.invalid(f"{path}.weight", weight, "must be in the range 1-100")]
    )


def _label_keys(
    path: str, match: Sequence[str], mismatch: Sequence[str], selector: Mapping[str, Any] | None
) -> list[FieldError]:
    """Check keys whose values come from the Pod itself."""
    found: list[FieldError] = []
    for key, listed in (("matchLabelKeys", match), ("mismatchLabelKeys", mismatch)):
        where = f"{path}.{key}"
        if listed and selector is None:
            found.append(field.forbidden(where, _NO_SELECTOR))
            continue
        for index, name in enumerate(listed):
            found += formats.each(names.qualified_name, name, f"{where}[{index}]")
    if selector is not None:
        places = {name: index for index, name in enumerate(match)}
        seen = set(selector.get("matchLabels") or ())
        for rule in selector.get("matchExpressions") or ():
            name = rule.get("key") or ""
            if name in places and name in seen:  # merging would say it twice
                detail = "exists in both matchLabelKeys and labelSelector"
                found.append(field.invalid(f"{path}[{places[name]}]", name, detail))
            seen.add(name)
    for index, name in enumerate(match):
        if name in mismatch:
            detail = "exists in both matchLabelKeys and mismatchLabelKeys"
            found.append(field.invalid(f"{path}.matchLabelKeys[{index}]", name, detail))
    return found


def _spread(spec: Object, path: str) -> list[FieldError]:
    found, constraints = list[FieldError](), spec.get("topologySpreadConstraints") or ()
    pairs = [(c.get("topologyKey") or "", c.get("whenUnsatisfiable") or "") for c in constraints]
    for index, constraint in enumerate(constraints):
        where = f"{path}[{index}]"
        skew, (key, action) = constraint.get("maxSkew") or 0, pairs[index]
        if skew <= 0:
            found.append(field.invalid(f"{where}.maxSkew", skew, "must be greater than zero"))
        if not key:
            found.append(field.required(f"{where}.topologyKey", "can not be empty"))
        found += formats.choice(action, _UNSATISFIABLE, f"{where}.whenUnsatisfiable")
        if (key, action) in pairs[index + 1 :]:
            shown = f"{where}.{{topologyKey, whenUnsatisfiable}}"
            found.append(field.duplicate(shown, f"{{{key}, {action}}}"))
        found += _domains(constraint.get("minDomains"), action, f"{where}.minDomains")
        for policy in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            found += formats.optional_choice(constraint.get(policy), _INCLUSION, f"{where}.{policy}")
        selector = constraint.get("labelSelector")
        found += _label_keys(where, constraint.get("matchLabelKeys") or (), (), selector)
        found += metadata.label_selector(selector, f"{where}.labelSelector")
    return found


def _domains(domains: int | None, action: str, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if domains is not None and domains <= 0:
        found.append(field.invalid(path, domains, "must be greater than zero"))
    if domains is not None and action != "DoNotSchedule":
        detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        found.append(field.invalid(path, domains, detail))
    return found
