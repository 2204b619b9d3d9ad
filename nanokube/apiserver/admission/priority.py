"""Priority: the class's number goes into the Pod.

Source: plugin/pkg/admission/priority/admission.go, pkg/apis/scheduling/types.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from nanokube.api import errors
from nanokube.apiserver.admission import chain
from nanokube.apiserver.admission.lookup import Lookup

CLASSES: Final = "priorityclasses.scheduling.k8s.io"
SYSTEM_CLASSES: Final[Mapping[str, tuple[int, str]]] = {
    "system-node-critical": (
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    "system-cluster-critical": (
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node "
        "if necessary.",
    ),
}


class Priority(chain.Plugin):
    """Sets spec.priority and spec.preemptionPolicy of Pods; keeps the default class unique."""

    made_of: ClassVar[Sequence[str]] = (CLASSES,)

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def is_about(self, operation: str, resource: str, subresource: str) -> bool:
        """Tell whether one of the hooks may do something about such requests."""
        return resource in ("pods", CLASSES) and not subresource

    async def mutate(self, attributes: chain.Attributes) -> None:
        """Resolve the class of a new Pod; an update that says nothing keeps what was resolved."""
        a = attributes
        if a.resource.name != "pods" or a.subresource or a.obj is None:
            return
        spec = a.obj.setdefault("spec", {})
        if a.operation == chain.UPDATE:
            _keep(spec, (a.old or {}).get("spec") or {})
        elif a.operation == chain.CREATE:
            self._settle(a, spec)

    def _settle(self, a: chain.Attributes, spec: dict[str, Any]) -> None:
        name, value, policy = self._resolve(a, spec.get("priorityClassName") or "")
        if name:
            spec["priorityClassName"] = name
        if spec.get("priority") not in (None, value):
            cause = (
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
                f"priority admission controller computed {value} from the given PriorityClass name"
            )
            raise errors.forbidden(a.resource, a.name, cause)
        if spec.get("preemptionPolicy") not in (None, policy):
            cause = (
                f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in "
                f"pod spec; priority admission controller computed {policy} from the given PriorityClass name"
            )
            raise errors.forbidden(a.resource, a.name, cause)
        spec["priority"], spec["preemptionPolicy"] = value, policy

    def _resolve(self, a: chain.Attributes, name: str) -> tuple[str, int, str]:
        found = self._lookup.find(CLASSES, name) if name else self._default()
        if found is None:
            if name in SYSTEM_CLASSES:
                return name, SYSTEM_CLASSES[name][0], "PreemptLowerPriority"
            if name:
                raise errors.forbidden(a.resource, a.name, f"no PriorityClass with name {name} was found")
            return "", 0, "PreemptLowerPriority"
        policy = found.get("preemptionPolicy") or "PreemptLowerPriority"
        return found["metadata"]["name"], found.get("value") or 0, policy

    def _default(self) -> Mapping[str, Any] | None:
        classes = [c for c in self._lookup.scan(CLASSES, "") if c.get("globalDefault")]
        return min(classes, key=lambda c: c.get("value") or 0, default=None)

    async def validate(self, attributes: chain.Attributes) -> None:
        """Refuse a second default class."""
        a = attributes
        if a.resource.name != CLASSES or a.obj is None or not a.obj.get("globalDefault"):
            return
        for other in self._lookup.scan(CLASSES, ""):
            title = other["metadata"]["name"]
            if other.get("globalDefault") and title != a.obj["metadata"].get("name"):
                cause = f"PriorityClass {title} is already marked as default. Only one default can exist"
                raise errors.forbidden(a.resource, a.name, cause)


def _keep(spec: dict[str, Any], old: Mapping[str, Any]) -> None:
    for key in ("priority", "preemptionPolicy"):
        if spec.get(key) is None and old.get(key) is not None:
            spec[key] = old[key]
