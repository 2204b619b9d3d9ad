"""What the verbs do otherwise for custom resources.

Source: staging apiextensions-apiserver pkg/apiserver/customresource_handler.go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from nanokube.api import errors
from nanokube.apiserver.endpoints import watch_custom, write
from nanokube.apiserver.endpoints.scope import Scope
from nanokube.apiserver.registry import judge
from nanokube.kit.http.message import Answer

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
