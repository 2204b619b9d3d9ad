"""What the verbs do otherwise for custom resources.

Source: staging apiextensions-apiserver pkg/apiserver/customresource_handler.go.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from nanokube.api import errors
from nanokube.api.custom.kind import CustomKind
from nanokube.apiserver.endpoints import respond, watch_custom, write
from nanokube.apiserver.endpoints.scope import Scope
from nanokube.apiserver.registry import judge
from nanokube.kit.http.message import Answer, UpgradeResponse

Result = Answer | Awaitable[Answer]


async def _create(scope: Scope) -> Answer:
    await judge.prepare(scope.resource)
    return await write.create(scope)


async def _update(scope: Scope) -> Answer:
    await judge.prepare(scope.resource)
    return await write.update(scope)


async def _patch(scope: Scope) -> Answer:
    await judge.prepare(scope.resource)
    return await write.patch_(scope)


VERBS: Final[Mapping[str, Callable[[Scope], Result]]] = {
    "watch": watch_custom.watch,
    "create": _create,
    "update": _update,
    "patch": _patch,
}
_ACROSS: Final = ("list", "watch")


def warned(kind: CustomKind, found: Result) -> Result:
    """Say in an answer that the version is deprecated, if it is."""
    if not kind.is_deprecated:
        return found
    return _warned_later(kind, found) if inspect.isawaitable(found) else _warned(kind, found)


async def _warned_later(kind: CustomKind, found: Awaitable[Answer]) -> Answer:
    return _warned(kind, await found)


def _warned(kind: CustomKind, found: Answer) -> Answer:
    if not isinstance(found, UpgradeResponse):
        found.headers = [*found.headers, respond.warning(kind.deprecation_warning)]
    return found


def check(scope: Scope) -> None:
    """Demand that the path fits the scope, and that nothing is made of a definition that ends.

    Raises ApiError (404, 405).
    """
    resource, info = scope.resource, scope.info
    if resource.namespaced != bool(info.namespace) and not (resource.namespaced and info.verb in _ACROSS):
        raise errors.no_such_path()
    if info.verb != "create" and not (info.verb == "patch" and not info.subresource):
        return
    definition = scope.registry.kinds.definition(resource.storage_name)
    if definition is None or not definition.is_terminating:
        return
    key = f"{info.namespace}/{info.name}" if resource.namespaced else info.name
    if info.verb == "create" or scope.registry.cache(resource).find(key) is None:
        cause = "create not allowed while custom resource definition is terminating"
        raise errors.ApiError("MethodNotAllowed", 405, cause)
