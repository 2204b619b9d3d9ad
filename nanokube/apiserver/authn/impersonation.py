"""Acting as someone else, for those who may: the Impersonate-* headers. Pure.

Source: staging apiserver pkg/endpoints/filters/impersonation.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from nanokube.api import errors
from nanokube.apiserver.authn.user import (
    ANONYMOUS,
    AUTHENTICATED,
    SERVICE_ACCOUNT_PREFIX,
    UNAUTHENTICATED,
    User,
)
from nanokube.apiserver.authz.authorizer import Attributes, Authorizer, Decision, refusal
from nanokube.kit.http.message import Request

_EXTRA: Final = "impersonate-extra-"
_AUTHENTICATION: Final = "authentication.k8s.io"
_NOBODY: Final = "impersonates nobody"


def apply(request: Request, user: User, authorizer: Authorizer) -> User:
    """Return whom the request acts as, user itself without the headers. Raises ApiError (403, 400)."""
    headers = request.headers
    if _NOBODY in headers.memo:
        return user
    if not any(name.startswith("impersonate-") for name, _ in headers):
        headers.memo[_NOBODY] = True
        return user
    name, groups = headers.get("impersonate-user"), headers.getall("impersonate-group")
    if not name:
        raise errors.bad_request("requested impersonation without impersonating a user")
    extra: dict[str, list[str]] = {}
    for field, value in headers:
        if field.startswith(_EXTRA):
            extra.setdefault(unquote(field.removeprefix(_EXTRA)), []).append(value)
    for question in _questions(user, name, groups, headers.get("impersonate-uid"), extra):
        decision, reason = authorizer.authorize(question)
        if decision is not Decision.ALLOW:
            message = f'{question.resource} "{question.name}" is forbidden: {refusal(question, reason)}'
            raise errors.ApiError("Forbidden", 403, message)
    if not groups and name.startswith(SERVICE_ACCOUNT_PREFIX):
        namespace = name.split(":")[2]
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    pairs = tuple((key, tuple(values)) for key, values in extra.items())
    return User(name, _completed(name, groups), headers.get("impersonate-uid"), pairs)


def _completed(name: str, groups: list[str]) -> tuple[str, ...]:
    """Add the group of all who are known, or of all who are not, unless the request said which."""
    if name == ANONYMOUS.name:
        return tuple(dict.fromkeys((*groups, UNAUTHENTICATED)))
    if AUTHENTICATED in groups or UNAUTHENTICATED in groups:
        return tuple(dict.fromkeys(groups))
    return (*dict.fromkeys(groups), AUTHENTICATED)


def _questions(
    user: User, name: str, groups: list[str], uid: str, extra: dict[str, list[str]]
) -> list[Attributes]:
    """List what user must be allowed to impersonate."""

    def ask(resource: str, name: str, group: str = "", sub: str = "", namespace: str = "") -> Attributes:
        return Attributes(user, "impersonate", group, "v1", resource, sub, namespace, name)

    parts = name.removeprefix(SERVICE_ACCOUNT_PREFIX).split(":")
    if name.startswith(SERVICE_ACCOUNT_PREFIX) and len(parts) == 2:
        found = [ask("serviceaccounts", parts[1], namespace=parts[0])]
    else:
        found = [ask("users", name)]
    found += (ask("groups", group) for group in groups)
    if uid:
        found.append(ask("uids", uid, _AUTHENTICATION))
    found += (ask("userextras", v, _AUTHENTICATION, key) for key, values in extra.items() for v in values)
    return found
