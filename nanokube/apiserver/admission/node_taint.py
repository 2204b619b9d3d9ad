"""TaintNodesByCondition: a new node takes no Pods until it is seen to be ready.

Source: plugin/pkg/admission/nodetaint/admission.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from nanokube.apiserver.admission import chain

_NOT_READY: Final = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class NodeTaint(chain.Plugin):
    """Adds the taint, which the node lifecycle controller takes away."""

    made_of: ClassVar[Sequence[str]] = ()
    name: ClassVar[str] = "TaintNodesByCondition"

    def is_about(self, operation: str, resource: str, subresource: str) -> bool:
        """Tell whether one of the hooks may do something about such requests."""
        return (operation, resource, subresource) == (chain.CREATE, "nodes", "")

    async def mutate(self, attributes: chain.Attributes) -> None:
        """Taint a new node."""
        a = attributes
        if a.resource.name != "nodes" or a.operation != chain.CREATE or a.subresource or a.obj is None:
            return
        spec = a.obj.setdefault("spec", {})
        taints = spec.get("taints") or []
        if not any(t.get("key") == _NOT_READY["key"] and t.get("effect") == "NoSchedule" for t in taints):
            spec["taints"] = [*taints, dict(_NOT_READY)]
