"""What GETs mean whose target was asked for before: one object, answered as it is stored. Pure.

Clients ask for the same objects again and again: a node for its lease, a controller for what it looks after.
What their targets mean follows from the table of built-in kinds, which never changes; who asks, whether that
is allowed, who answers, and what the object is now, are asked each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nanokube.api.errors import ApiError
from nanokube.apiserver.authn.user import User
from nanokube.apiserver.authz.authorizer import Attributes
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.endpoints import deprecated, negotiate, respond
from nanokube.apiserver.endpoints.scope import Scope
from nanokube.apiserver.requestinfo import RequestInfo
from nanokube.kit.http.message import Request, Response

_REMEMBERED: Final = 2048


@dataclass(slots=True, eq=False)
class Target:
    """One of them. find: its cache's look-up, by key. asked: what was asked of authorizers the last time."""

    info: RequestInfo
    find: Callable[[str], Item | None]
    key: str
    asked: Attributes | None = None

    def question(self, user: User) -> Attributes:
        """Give what to ask of authorizers: the same again while the same user asks."""
        asked = self.asked
        if asked is None or asked.user is not user:
            asked = self.asked = question(user, self.info, "get")
        return asked

    def answer(self, request: Request) -> Response | None:
        """Answer, if the object is there and to be shown as it is stored."""
        try:
            if negotiate.form_of(request.headers.get("accept"), True) is not negotiate.OBJECT:
                return None
        except ApiError:
            return None  # as who looks at the whole request says it
        item = self.find(self.key)
        return None if item is None else respond.encoded(request, (item.raw,), negotiate.OBJECT)


class Targets:
    """The memory of one server."""

    def __init__(self) -> None:
        self._known: dict[str, Target] = {}

    def find(self, request: Request) -> Target | None:
        """Tell what is known of a request's target."""
        if request.method != "GET" or request.stream is not None:
            return None
        return self._known.get(request.target)

    def note(self, scope: Scope) -> None:
        """Remember a target that was found to name an object of a kind."""
        info, resource, registry = scope.info, scope.resource, scope.registry
        is_plain = scope.request.target == info.path and info.verb == "get" and not info.subresource
        if not is_plain or resource.custom is not None or resource.stored_as or registry.store.is_shared:
            return
        if deprecated.warning(resource):
            return
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        key = f"{info.namespace}/{info.name}" if resource.namespaced else info.name
        self._known[info.path] = Target(info, registry.caches.of(resource.storage_name).find, key)


def question(user: User, info: RequestInfo, verb: str) -> Attributes:
    """Make the question whether a user may do what a request asks for, by a verb."""
    return Attributes(
        user,
        verb,
        info.group,
        info.version,
        info.resource,
        info.subresource,
        info.namespace,
        info.name,
        info.path,
        info.field_selector,
    )
