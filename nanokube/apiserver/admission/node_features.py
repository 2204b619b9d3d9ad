"""NodeDeclaredFeatureValidator: of a Pod that runs only that is changed which its node says that it can.

Source: plugin/pkg/admission/nodedeclaredfeatures/admission.go, component-helpers nodedeclaredfeatures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from nanokube.api import errors, objects
from nanokube.api.objects import Object
from nanokube.apiserver.admission import chain

INIT_CONTAINERS: Final = "InPlacePodVerticalScalingInitContainers"
POD_LEVEL: Final = "InPlacePodLevelResourcesVerticalScaling"


class NodeFeatures(chain.Plugin):
    """Judges resizes of bound Pods. find: storage name and key to the live object."""

    name: ClassVar[str] = "NodeDeclaredFeatureValidator"

    def __init__(self, find: Callable[[str, str], Mapping[str, Any] | None]) -> None:
        self._find = find

    def is_about(self, operation: str, resource: str, subresource: str) -> bool:
        """Tell whether one of the hooks may do something about such requests."""
        return (operation, resource, subresource) == (chain.UPDATE, "pods", "resize")

    async def validate(self, attributes: chain.Attributes) -> None:
        """Compare what a change needs with what the node declares. Raises ApiError (403)."""
        a = attributes
        if not self.is_about(a.operation, a.resource.name, a.subresource) or a.obj is None or a.old is None:
            return
        name = objects.spec(a.obj).get("nodeName")
        if not name or objects.generation(a.obj) == objects.generation(a.old):
            return
        needed = _needed(objects.spec(a.obj), objects.spec(a.old))
        if not needed:
            return
        node = self._find("nodes", name)
        if node is None:
            raise errors.forbidden(a.resource, a.name, f'node "{name}" not found')
        declared = objects.status(node).get("declaredFeatures") or ()
        lacking = [feature for feature in needed if feature not in declared]
        if lacking:
            said = ", ".join(lacking)
            cause = f'pod update requires features {said} which are not available on node "{name}"'
            raise errors.forbidden(a.resource, a.name, cause)


def _needed(new: Object, old: Object) -> list[str]:
    found = []
    if (new.get("resources") or {}) != (old.get("resources") or {}):
        found.append(POD_LEVEL)
    if _plain_init(new) != _plain_init(old):
        found.append(INIT_CONTAINERS)
    return found


def _plain_init(spec: Object) -> list[Any]:
    """List the resources of init containers that are no sidecars; validation saw that they are the same."""
    every = spec.get("initContainers") or ()
    return [c.get("resources") or {} for c in every if c.get("restartPolicy") != "Always"]
