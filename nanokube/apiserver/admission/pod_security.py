"""PodSecurity: a namespace's labels say which standard its Pods must meet, and of which to warn.

Source: staging/src/k8s.io/pod-security-admission/admission/admission.go.
"""

from __future__ import annotations

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
        wrong = [
            field.invalid(
                f"metadata.labels[{_LABEL}{mode}]", level, f"must be one of {', '.join(pod_security.LEVELS)}"
            )
            for mode in _MODES
            if (level := labels.get(_LABEL + mode)) is not None and level not in pod_security.LEVELS
        ]
        if wrong:
            raise errors.invalid(a.resource, a.name, wrong)
        level = _level(labels, "enforce")
        rank = pod_security.LEVELS.index
        if a.operation != chain.UPDATE or rank(level) <= rank(_level(before, "enforce")):
            return
        reasons: dict[str, list[str]] = {}
        for count, pod in enumerate(self._lookup.scan("pods", a.name)):
            found = "" if count >= _MAX_PODS else _judge(pod.get("spec") or {}, labels, "enforce")[1]
            if found:
                reasons.setdefault(found, []).append(objects.name(pod))
        if reasons:
            title = f"{level}:{labels.get(_LABEL + 'enforce-version', 'latest')}"
            head = (
                f'existing pods in namespace "{a.name}" violate the new PodSecurity enforce level "{title}"'
            )
            a.warnings.append(head)
            for reason, names in sorted(reasons.items(), key=lambda item: item[1][0]):
                rest = len(names) - 1
                more = f" (and {rest} other pod{'s' if rest > 1 else ''})" if rest else ""
                a.warnings.append(f"{sorted(names)[0]}{more}: {reason.replace(chr(10), ' ')}")


def _level(labels: Mapping[str, str], mode: str) -> str:
    found = labels.get(_LABEL + mode, pod_security.PRIVILEGED)
    # an unknown level is read as the strictest
    return found if found in pod_security.LEVELS else pod_security.RESTRICTED


def _judge(spec: Mapping[str, Any], labels: Mapping[str, str], mode: str) -> tuple[str, str]:
    level = _level(labels, mode)
    title = f"{level}:{labels.get(f'{_LABEL}{mode}-version', 'latest')}"
    return title, ", ".join(pod_security.violations(spec, level))
