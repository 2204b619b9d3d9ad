"""NodeRestriction: a kubelet creates mirror Pods and its own Node, and touches Pods of its own node only.

Source: plugin/pkg/admission/noderestriction/admission.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nanokube.api import errors
from nanokube.apiserver.admission import chain
from nanokube.apiserver.admission.service_account import MIRROR_ANNOTATION
from nanokube.apiserver.authn.user import NODE_PREFIX, NODES


class NodeRestriction(chain.Plugin):
    """find: storage name and key to the live object."""

    def __init__(self, find: Callable[[str, str], Mapping[str, Any] | None]) -> None:
        self._find = find

    async def validate(self, attributes: chain.Attributes) -> None:
        """Refuse what reaches beyond the node."""
        a = attributes
        if NODES not in a.user.groups or not a.user.name.startswith(NODE_PREFIX):
            return
        node = a.user.name.removeprefix(NODE_PREFIX)
        if a.resource.name == "pods":
            self._pod(a, node)
        elif a.resource.name == "nodes" and a.name != node:
            cause = f'node "{node}" is not allowed to modify node "{a.name}"'
            raise errors.forbidden(a.resource, a.name, cause)
        elif a.full == "serviceaccounts/token":
            self._token(a, node)

    def _pod(self, a: chain.Attributes, node: str) -> None:
        if a.operation == chain.CREATE and not a.subresource:
            obj = a.obj or {}
            if MIRROR_ANNOTATION not in (obj.get("metadata", {}).get("annotations") or {}):
                cause = f'pod does not have "{MIRROR_ANNOTATION}" annotation, '
                cause += f'node "{node}" can only create mirror pods'
                raise errors.forbidden(a.resource, a.name, cause)
        on = ((a.old or a.obj or {}).get("spec") or {}).get("nodeName")
        if on != node:
            cause = f'node "{node}" can only touch pods with spec.nodeName set to itself'
            raise errors.forbidden(a.resource, a.name, cause)

    def _token(self, a: chain.Attributes, node: str) -> None:
        ref = ((a.obj or {}).get("spec") or {}).get("boundObjectRef") or {}
        pod = self._find("pods", f"{a.namespace}/{ref.get('name', '')}") if ref.get("kind") == "Pod" else None
        if pod is None:
            raise errors.forbidden(a.resource, a.name, "node requested token not bound to a pod")
        if pod["metadata"]["uid"] != ref.get("uid"):
            raise errors.forbidden(a.resource, a.name, "the UID in the bound object reference does not match")
        if (pod.get("spec") or {}).get("nodeName") != node:
            cause = "node requested token bound to a pod scheduled on a different node"
            raise errors.forbidden(a.resource, a.name, cause)
