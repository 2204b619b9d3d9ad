"""Priority: the class's number goes into the Pod. Only the two built-in classes exist so far.

Source: plugin/pkg/admission/priority/admission.go, pkg/apis/scheduling/types.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nanokube.api import errors
from nanokube.apiserver.admission import chain

SYSTEM_CLASSES: Final[Mapping[str, int]] = {
    "system-node-critical": 2_000_001_000,
    "system-cluster-critical": 2_000_000_000,
}


class Priority(chain.Plugin):
    """Sets spec.priority and spec.preemptionPolicy of new Pods."""

    async def mutate(self, attributes: chain.Attributes) -> None:
        """Resolve the class."""
        a = attributes
        if a.resource.name != "pods" or a.subresource or a.operation != chain.CREATE or a.obj is None:
            return
        spec = a.obj.setdefault("spec", {})
        name = spec.get("priorityClassName") or ""
        if name and name not in SYSTEM_CLASSES:
            raise errors.forbidden(a.resource, a.name, f"no PriorityClass with name {name} was found")
        value = SYSTEM_CLASSES.get(name, 0)
        if spec.get("priority") not in (None, value):
            cause = (
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
                "priority admission controller computed "
                f"{value} from the given PriorityClass name"
            )
            raise errors.forbidden(a.resource, a.name, cause)
        spec["priority"] = value
        spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
