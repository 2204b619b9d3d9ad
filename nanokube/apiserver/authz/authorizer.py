"""May this user do this? The question, the answer, those who answer, and the official refusal. Pure.

Source: staging apiserver pkg/authorization/authorizer, pkg/endpoints/handlers/responsewriters/errors.go.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from nanokube.api import selectors
from nanokube.apiserver.authn.user import User


class Attributes(NamedTuple):
    """A question. Resource requests have resource set, others path. subresource is apart from resource."""

    user: User
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    field_selector: str = ""

    def selected(self, path: str) -> str | None:
        """Return the value that all objects of a list, watch or deletion of many must have in a field."""
        try:
            return selectors.parse_fields(self.field_selector).exact(path) if self.field_selector else None
        except ValueError:
            return None  # refused by the endpoint

    @property
    def is_resource(self) -> bool:
        """Below a group-version, not a path such as /healthz."""
        return bool(self.resource)

    @property
    def full_resource(self) -> str:
        """ "pods", "pods/log"."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Decision(enum.Enum):
    """NO_OPINION passes the question on; nobody's opinion is a refusal."""

    ALLOW = "allow"
    DENY = "deny"
    NO_OPINION = "no opinion"


class Authorizer(Protocol):
    """One source of decisions."""

    def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """Decide, with a reason for people (may be empty)."""
        ...


class Union:
    """Asks each authorizer in turn until one has an opinion.

    remembered: answers of one of them that hold now. What one allows none of the others denies, so nobody is
    asked where it is known that one allows it.
    """

    def __init__(
        self, authorizers: Sequence[Authorizer], remembered: Mapping[Attributes, tuple[Decision, str]]
    ) -> None:
        self._authorizers = authorizers
        self._remembered = remembered

    def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """Decide."""
        known = self._remembered.get(attributes)
        if known is not None and known[0] is Decision.ALLOW:
            return known
        reasons = []
        for authorizer in self._authorizers:
            decision, reason = authorizer.authorize(attributes)
            if decision is not Decision.NO_OPINION:
                return decision, reason
            if reason:
                reasons.append(reason)
        return Decision.NO_OPINION, ", ".join(reasons)


def refusal(attributes: Attributes, reason: str = "") -> str:
    """Word a refusal: the part of the message after "… is forbidden: "."""
    a = attributes
    said = f'User "{a.user.name}" cannot {a.verb}'
    if not a.is_resource:
        text = f'{said} path "{a.path}"'
    else:
        text = f'{said} resource "{a.full_resource}" in API group "{a.group}"'
        text += f' in the namespace "{a.namespace}"' if a.namespace else " at the cluster scope"
    return f"{text}: {reason}" if reason else text
