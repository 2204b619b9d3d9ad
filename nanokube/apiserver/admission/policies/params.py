"""The parameters of a policy that a binding names.

Source: staging apiserver pkg/admission/plugin/policy/generic/policy_dispatcher.go (CollectParams).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nanokube.api import selectors
from nanokube.api.errors import ApiError
from nanokube.api.resources import Resource
from nanokube.apiserver.admission.matching.subject import Subject
from nanokube.apiserver.admission.matching.versions import Versions
from nanokube.apiserver.admission.policies.policy import Binding, Policy
from nanokube.apiserver.cache.caches import Caches
from nanokube.apiserver.cache.item import Item

Object = Mapping[str, Any]


class Misconfigured(Exception):
    """The parameters cannot be had."""


class Params:
    """Looks parameters up in the caches."""

    def __init__(self, caches: Caches, versions: Versions) -> None:
        self._caches = caches
        self._versions = versions

    async def collect(self, policy: Policy, binding: Binding, subject: Subject) -> Sequence[Object | None]:
        """List the parameters to ask a policy with; [None] if it takes none. Raises Misconfigured."""
        if policy.param_kind is None or binding.param is None:
            return (None,)
        api_version, kind = policy.param_kind
        resource = self._versions.by_kind(api_version, kind)
        if resource is None:
            raise Misconfigured(
                f"failed to find resource referenced by paramKind: '{_kind_text(api_version, kind)}'"
            )
        found = [await self._show(resource, item) for item in self._find(resource, binding.param, subject)]
        if not found and binding.param.get("parameterNotFoundAction") == "Deny":
            raise Misconfigured("no params found for policy binding with `Deny` parameterNotFoundAction")
        return found

    def _find(self, resource: Resource, ref: Object, subject: Subject) -> Iterable[Item]:
        cache = self._caches.of(resource.storage_name)
        said, name = ref.get("namespace") or "", ref.get("name") or ""
        namespace = ""
        if resource.namespaced:
            namespace = said or subject.namespace
            if not namespace:
                raise Misconfigured(
                    "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                )
        elif said:
            raise Misconfigured("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
        if name:
            item = cache.find(f"{namespace}/{name}" if namespace else name)
            return (item,) if item is not None else ()
        if ref.get("selector") is None:
            raise Misconfigured("one of name or selector must be provided")
        selector = selectors.from_object(ref["selector"])
        return [item for item in cache.scan(namespace) if selector.matches(item.labels())]

    async def _show(self, resource: Resource, item: Item) -> Object:
        try:
            return await self._versions.show(resource, item)
        except ApiError as err:
            raise Misconfigured(err.message) from err


def _kind_text(api_version: str, kind: str) -> str:
    return f"{api_version}, Kind={kind}"
