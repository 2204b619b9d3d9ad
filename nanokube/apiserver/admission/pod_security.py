"""PodSecurity: a namespace's labels say which standard its Pods must meet, and of which to warn.

Source: staging/src/k8s.io/pod-security-admission/admission/admission.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from nanokube.api import errors, field, objects, pod_security
from nanokube.apiserver.admission import chain
from nanokube.apiserver.admission.lookup import Lookup

_LABEL: Final = "pod-security.kubernetes.io/"
_MODES: Final = ("enforce", "audit", "warn")
_MAX_PODS: Final = 3000
# where the pod template of a workload is
_TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    "podtemplates": ("template", "spec"),
    "replicationcontrollers": ("spec", "template", "spec"),
    "replicasets.apps": ("spec", "template", "spec"),
    "deployments.apps": ("spec", "template", "spec"),
    "statefulsets.apps": ("spec", "template", "spec"),
    "daemonsets.apps": ("spec", "template", "spec"),
    "jobs.batch": ("spec", "template", "spec"),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template", "spec"),
}


class PodSecurity(chain.Plugin):
    """lookup: to namespaces and Pods. The cluster's own default is "privileged"."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def validate(self, attributes: chain.Attributes) -> None:
        """Judge Pods, warn of workloads and of new demands on a namespace."""
        a = attributes
        if a.obj is None or a.operation == chain.DELETE:
            return
        if a.resource.name == "pods" and (
            a.operation == chain.CREATE or a.subresource == "ephemeralcontainers"
        ):
            self._pod(a, a.obj.get("spec") or {}, is_enforced=not a.subresource or a.obj != a.old)
        elif a.resource.name in _TEMPLATES and not a.subresource:
            spec: Any = a.obj
            for key in _TEMPLATES[a.resource.name]:
                spec = (spec or {}).get(key)
            if spec:
                self._pod(a, spec, is_enforced=False)
        elif a.resource.name == "namespaces" and not a.subresource:
            self._namespace(a, a.obj)

    def _pod(self, a: chain.Attributes, spec: Mapping[str, Any], *, is_enforced: bool) -> None:
        labels = objects.labels(self._lookup.find("namespaces", a.namespace) or {})
        if not any(key.startswith(_LABEL) for key in labels):
            if a.resource.name == "pods":
                a.annotations[_LABEL + "enforce-policy"] = f"{pod_security.PRIVILEGED}:latest"
            return
        title = refused = ""
        if is_enforced:
            title, refused = _judge(spec, labels, "enforce")
            a.annotations[_LABEL + "enforce-policy"] = title
        audited, found = _judge(spec, labels, "audit")
        if found:
            a.annotations[_LABEL + "audit-violations"] = f'would violate PodSecurity "{audited}": {found}'
        if refused:
            raise errors.forbidden(a.resource, a.name, f'violates PodSecurity "{title}": {refused}')
        title, found = _judge(spec, labels, "warn")
        if found:
            a.warnings.append(f'would violate PodSecurity "{title}": {found}')

    def _namespace(self, a: chain.Attributes, obj: Mapping[str, Any]) -> None:
        labels, before = objects.labels(obj), objects.labels(a.old or {})
        wrong = _mistakes(labels)
        if wrong and not _mistakes(before):
            raise errors.invalid(a.resource, a.name, wrong)
        level = _level(labels, "enforce")
        rank = pod_security.LEVELS.index
        if a.operation != chain.UPDATE or rank(level) <= rank(_level(before, "enforce")):
            return
        reasons: dict[str, list[str]] = {}
        for count, pod in enumerate(self._lookup.scan("pods", a.name)):
            problems = pod_security.reasons(pod.get("spec") or {}, level) if count < _MAX_PODS else ()
            if problems:
                reasons.setdefault(", ".join(problems), []).append(objects.name(pod))
        if reasons:
            title = f"{level}:{_version(labels, 'enforce')}"
            head = (
                f'existing pods in namespace "{a.name}" violate the new PodSecurity enforce level "{title}"'
            )
            a.warnings.append(head)
            a.warnings += sorted(_counted(names, reason) for reason, names in reasons.items())


def _counted(names: list[str], reason: str) -> str:
    rest = len(names) - 1
    more = f" (and {rest} other pod{'s' if rest > 1 else ''})" if rest else ""
    return f"{min(names)}{more}: {reason}"


def _mistakes(labels: Mapping[str, str]) -> list[field.FieldError]:
    """Tell which labels say no level, or no version."""
    found, levels = list[field.FieldError](), f"must be one of {', '.join(pod_security.LEVELS)}"
    for mode in _MODES:
        level, version = labels.get(_LABEL + mode), labels.get(f"{_LABEL}{mode}-version")
        if level is not None and level not in pod_security.LEVELS:
            found.append(field.invalid(f"metadata.labels[{_LABEL}{mode}]", level, levels))
        if version is not None and not _is_version(version):
            detail = 'must be "latest" or "v1.x"'
            found.append(field.invalid(f"metadata.labels[{_LABEL}{mode}-version]", version, detail))
    return found


def _is_version(text: str) -> bool:
    return text == "latest" or re.fullmatch(r"v1\.([0-9]|[1-9][0-9]*)", text, re.ASCII) is not None


def _level(labels: Mapping[str, str], mode: str) -> str:
    """Give a mode's level. Who is not warned otherwise is warned of what is enforced."""
    found = labels.get(_LABEL + mode)
    if found is None:
        enforced = labels.get(_LABEL + "enforce") if mode == "warn" else None
        return enforced if enforced in pod_security.LEVELS else pod_security.PRIVILEGED
    if found in pod_security.LEVELS:
        return found
    # an unknown level is enforced as the strictest; nothing is said of it else
    return pod_security.RESTRICTED if mode == "enforce" else pod_security.PRIVILEGED


def _version(labels: Mapping[str, str], mode: str) -> str:
    found = labels.get(f"{_LABEL}{mode}-version")
    if found is None and mode == "warn" and _LABEL + mode not in labels:
        is_enforced = labels.get(_LABEL + "enforce") in pod_security.LEVELS
        return _version(labels, "enforce") if is_enforced else "latest"
    return found if found is not None and _is_version(found) else "latest"


def _judge(spec: Mapping[str, Any], labels: Mapping[str, str], mode: str) -> tuple[str, str]:
    level = _level(labels, mode)
    title = f"{level}:{_version(labels, mode)}"
    return title, ", ".join(pod_security.violations(spec, level))
