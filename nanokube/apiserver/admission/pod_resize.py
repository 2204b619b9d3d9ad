"""PodResizeValidator: a Pod that runs is not resized beyond what its node has for Pods in all.

Whether there is room among the node's other Pods is for its kubelet to say, by PodResizePending.
Source: plugin/pkg/admission/podresize/admission.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from nanokube.api import errors, objects, quantity, usage
from nanokube.api.objects import Object
from nanokube.apiserver.admission import chain

_OS: Final = "kubernetes.io/os"
_NONE: Final = quantity.parse("0")


class PodResize(chain.Plugin):
    """Judges resizes of bound Pods. find: storage name and key to the live object."""

    name: ClassVar[str] = "PodResizeValidator"

    def __init__(self, find: Callable[[str, str], Mapping[str, Any] | None]) -> None:
        self._find = find

    def is_about(self, operation: str, resource: str, subresource: str) -> bool:
        """Tell whether one of the hooks may do something about such requests."""
        return (operation, resource, subresource) == (chain.UPDATE, "pods", "resize")

    async def validate(self, attributes: chain.Attributes) -> None:
        """Compare what a Pod asks for with what its node has. Raises ApiError (403)."""
        a = attributes
        if not self.is_about(a.operation, a.resource.name, a.subresource) or a.obj is None or a.old is None:
            return
        name = objects.spec(a.obj).get("nodeName")
        if not name or objects.generation(a.obj) == objects.generation(a.old):
            return
        node = self._find("nodes", name)
        if node is None:
            raise errors.forbidden(a.resource, a.name, f'node "{name}" not found')
        system = objects.labels(node).get(_OS, "linux")
        if system != "linux":
            cause = f'pod resize is only supported on linux nodes, node "{name}" is "{system}"'
            raise _refused(a, cause, "UnsupportedPlatform")
        lacking = list(_lacking(a.obj, node))
        if lacking:
            cause = f"node didn't have enough allocatable resources: {'; '.join(lacking)}"
            raise _refused(a, cause, "NodeCapacity")


def _lacking(pod: Object, node: Object) -> list[str]:
    wanted = usage.pod_amounts(objects.spec(pod), "requests")
    given = usage.parse(objects.status(node).get("allocatable"))
    found = []
    for name in ("cpu", "memory"):
        amounts = wanted.get(name, _NONE), given.get(name, _NONE)
        if amounts[1] < amounts[0]:
            asked, has = (each.milli if name == "cpu" else each.value for each in amounts)
            found.append(f"{name}, requested: {asked}, allocatable: {has}")
    return found


def _refused(attributes: chain.Attributes, cause: str, reason: str) -> errors.ApiError:
    found = errors.forbidden(attributes.resource, attributes.name, cause)
    found.details["causes"] = [{"reason": reason}]
    return found
