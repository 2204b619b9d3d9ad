"""Validation of RBAC. Pure. Source: pkg/apis/rbac/validation/validation.go."""

from __future__ import annotations

from typing import Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, metadata, names

GROUP: Final = "rbac.authorization.k8s.io"
_KINDS: Final = ("ServiceAccount", "User", "Group")  # as upstream lists them


def validate_role(obj: Object) -> list[FieldError]:
    """Check a Role."""
    return _rules(obj, is_namespaced=True)


def validate_cluster_role(obj: Object) -> list[FieldError]:
    """Check a ClusterRole."""
    found = _rules(obj, is_namespaced=False)
    aggregation = obj.get("aggregationRule")
    if aggregation is None:
        return found
    wanted = aggregation.get("clusterRoleSelectors") or ()
    path = "aggregationRule.clusterRoleSelectors"
    if not wanted:
        found.append(
            field.required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")
        )
    for index, selector in enumerate(wanted):
        problems = metadata.label_selector(selector, f"{path}[{index}]")
        if problems:  # upstream shows what it could not make
            problems.append(field.invalid(f"{path}[{index}]", None, "invalid label selector."))
        found += problems
    return found


def _rules(obj: Object, *, is_namespaced: bool) -> list[FieldError]:
    found: list[FieldError] = []
    for index, rule in enumerate(obj.get("rules") or ()):
        path = f"rules[{index}]"
        if not rule.get("verbs"):
            found.append(field.required(f"{path}.verbs", "verbs must contain at least one value"))
        urls = rule.get("nonResourceURLs")
        if urls:
            if is_namespaced:
                detail = "namespaced rules cannot apply to non-resource URLs"
                found.append(field.invalid(f"{path}.nonResourceURLs", urls, detail))
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                detail = "rules cannot apply to both regular resources and non-resource URLs"
                found.append(field.invalid(f"{path}.nonResourceURLs", urls, detail))
            continue
        if not rule.get("apiGroups"):
            found.append(
                field.required(f"{path}.apiGroups", "resource rules must supply at least one api group")
            )
        if not rule.get("resources"):
            found.append(
                field.required(f"{path}.resources", "resource rules must supply at least one resource")
            )
    return found


def validate_role_binding(obj: Object) -> list[FieldError]:
    """Check a RoleBinding."""
    return _binding(obj, ("Role", "ClusterRole"), is_namespaced=True)


def validate_cluster_role_binding(obj: Object) -> list[FieldError]:
    """Check a ClusterRoleBinding."""
    return _binding(obj, ("ClusterRole",), is_namespaced=False)


def validate_binding_update(new: Object, old: Object) -> list[FieldError]:
    """Check that a binding still refers to the same role."""
    if new.get("roleRef") == old.get("roleRef"):
        return []
    return [field.invalid("roleRef", new.get("roleRef"), "cannot change roleRef")]


def _binding(obj: Object, kinds: tuple[str, ...], *, is_namespaced: bool) -> list[FieldError]:
    ref = obj.get("roleRef") or {}
    found: list[FieldError] = []
    if ref.get("apiGroup") != GROUP:
        found.append(field.not_supported("roleRef.apiGroup", ref.get("apiGroup") or "", (GROUP,)))
    if ref.get("kind") not in kinds:
        found.append(field.not_supported("roleRef.kind", ref.get("kind") or "", kinds))
    if not ref.get("name"):
        found.append(field.required("roleRef.name"))
    else:
        found += (field.invalid("roleRef.name", ref["name"], m) for m in formats.path_segment(ref["name"]))
    for index, subject in enumerate(obj.get("subjects") or ()):
        found += _subject(subject, f"subjects[{index}]", is_namespaced=is_namespaced)
    return found


def _subject(subject: Object, path: str, *, is_namespaced: bool) -> list[FieldError]:
    name, kind, group = subject.get("name") or "", subject.get("kind") or "", subject.get("apiGroup") or ""
    found = [] if name else [field.required(f"{path}.name")]
    if kind == "ServiceAccount":
        if name:
            found += (field.invalid(f"{path}.name", name, m) for m in names.dns_subdomain(name))
        if group:
            found.append(field.not_supported(f"{path}.apiGroup", group, ("",)))
        if not is_namespaced and not subject.get("namespace"):
            found.append(field.required(f"{path}.namespace"))
    elif kind not in _KINDS:
        found.append(field.not_supported(f"{path}.kind", kind, _KINDS))
    elif group != GROUP:
        found.append(field.not_supported(f"{path}.apiGroup", group, (GROUP,)))
    return found
