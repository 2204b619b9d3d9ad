"""NamespaceLifecycle: nothing is created in a namespace that is absent or ending; four are immortal.

Source: staging apiserver pkg/admission/plugin/namespace/lifecycle/admission.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from nanokube.api import errors, resources
from nanokube.apiserver.admission import chain

_IMMORTAL: Final = frozenset(("default", "kube-system", "kube-public"))


class NamespaceLifecycle(chain.Plugin):
    """find: storage name and key to the live object."""

    def __init__(self, find: Callable[[str, str], Mapping[str, Any] | None]) -> None:
        self._find = find

    async def mutate(self, attributes: chain.Attributes) -> None:
        """Refuse early, before other plugins look into the namespace."""
        a = attributes
        if a.operation == chain.DELETE and a.resource.name == "namespaces" and a.name in _IMMORTAL:
            raise errors.forbidden(a.resource, a.name, "this namespace may not be deleted")
        if a.operation != chain.CREATE or not a.resource.namespaced or a.resource.name == _ACCESS_REVIEW:
            return
        namespace = self._find("namespaces", a.namespace)
        if namespace is None:
            raise errors.not_found(resources.get("namespaces"), a.namespace)
        if (namespace.get("status") or {}).get("phase") == "Terminating":
            cause = f"unable to create new content in namespace {a.namespace} because it is being terminated"
            refusal = errors.forbidden(a.resource, a.name, cause)
            message = f"namespace {a.namespace} is being terminated"
            refusal.details["causes"] = [
                {"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}
            ]
            raise refusal


_ACCESS_REVIEW: Final = "localsubjectaccessreviews.authorization.k8s.io"
