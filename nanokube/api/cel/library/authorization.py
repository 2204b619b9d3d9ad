"""Asking the authorizer from expressions. Holds what callers lent while an activation lives.

Source: k8s.io/apiserver/pkg/cel/library/authz.go.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from typing import Any

from nanokube.api.cel.library import opaque
from nanokube.api.cel.library.opaque import NoSuchOverload, Opaque


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """What an expression asks. service_account: (namespace, name) if it asks for another than the user.

    path is set for paths, the rest for resources; api_version is always `*`.
    """

    verb: str
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""
    service_account: tuple[str, str] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What the authorizer says. error: why it could not decide, if so."""

    allowed: bool
    reason: str = ""
    error: str | None = None


Authorize = Callable[[Question], Answer]

_lent: dict[int, Authorize] = {}
_next = itertools.count(1)


def lend(authorize: Authorize) -> tuple[opaque.Authorizer, int]:
    """Make the value `authorizer`, and the key to take it back with."""
    key = next(_next)
    _lent[key] = authorize
    return opaque.Authorizer(json.dumps({"key": key})), key


def resource_check(authorizer: opaque.Authorizer, asked: Question) -> opaque.ResourceCheck:
    """Make the value `authorizer.requestResource`; asked has no verb."""
    fields = {name: value for name, value in dataclasses.asdict(asked).items() if value}
    return opaque.ResourceCheck(json.dumps({**_read(authorizer, opaque.Authorizer), **fields}))


def take_back(key: int) -> None:
    """Forget a lent authorizer."""
    _lent.pop(key, None)


def path(given: Any, text: str) -> opaque.PathCheck:
    """`authorizer.path("/healthz")`."""
    if not text.strip():
        raise ValueError("path must not be empty")
    return opaque.PathCheck(_with(given, opaque.Authorizer, path=text))


def group(given: Any, text: str) -> opaque.GroupCheck:
    """`authorizer.group("apps")`."""
    return opaque.GroupCheck(_with(given, opaque.Authorizer, group=text))


def service_account(given: Any, namespace: str, name: str) -> opaque.Authorizer:
    """`authorizer.serviceAccount(namespace, name)`."""
    from nanokube.api.validation import names  # that package imports ours

    if names.dns_subdomain(name):
        raise ValueError("Invalid service account name")
    if names.dns_label(namespace):
        raise ValueError("Invalid service account namespace")
    return opaque.Authorizer(_with(given, opaque.Authorizer, service_account=[namespace, name]))


def resource(given: Any, text: str) -> opaque.ResourceCheck:
    """`group.resource("deployments")`."""
    if not text.strip():
        raise ValueError("resource must not be empty")
    return opaque.ResourceCheck(_with(given, opaque.GroupCheck, resource=text))


def narrowing(field: str) -> Callable[[Any, str], opaque.ResourceCheck]:
    """Make a function that adds to a question about a resource."""

    def narrow(given: Any, text: str) -> opaque.ResourceCheck:
        return opaque.ResourceCheck(_with(given, opaque.ResourceCheck, **{field: text}))

    return narrow


def check(given: Any, verb: str) -> opaque.Decision:
    """`….check("create")`: ask."""
    if not isinstance(given, opaque.PathCheck | opaque.ResourceCheck):
        raise NoSuchOverload
    fields = json.loads(given.text)
    authorize = _lent.get(fields.pop("key"))
    if authorize is None:
        raise ValueError("the authorizer is gone")
    account = fields.pop("service_account", None)
    asked = Question(verb, **fields, service_account=tuple(account) if account else None)
    return opaque.Decision(json.dumps(dataclasses.asdict(authorize(asked))))


def allowed(given: Any) -> bool:
    """`decision.allowed()`."""
    return bool(_read(given, opaque.Decision)["allowed"])


def reason(given: Any) -> str:
    """`decision.reason()`."""
    return str(_read(given, opaque.Decision)["reason"])


def errored(given: Any) -> bool:
    """`decision.errored()`."""
    return _read(given, opaque.Decision)["error"] is not None


def error(given: Any) -> str:
    """`decision.error()`."""
    return str(_read(given, opaque.Decision)["error"] or "")


def _read(given: Any, wanted: type[Opaque]) -> dict[str, Any]:
    if not isinstance(given, wanted):
        raise NoSuchOverload
    fields: dict[str, Any] = json.loads(given.text)
    return fields


def _with(given: Any, wanted: type[Opaque], **fields: Any) -> str:
    return json.dumps({**_read(given, wanted), **fields})
