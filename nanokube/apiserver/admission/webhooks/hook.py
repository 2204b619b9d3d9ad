"""Webhooks as they are configured. Pure.

Source: staging apiserver pkg/admission/plugin/webhook/accessors.go, pkg/admission/configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from nanokube.api import selectors
from nanokube.api.resources import Resource
from nanokube.api.selectors import LabelSelector
from nanokube.apiserver.admission.matching import rules
from nanokube.apiserver.admission.matching.conditions import Conditions
from nanokube.apiserver.admission.matching.rules import Rule

DEFAULT_TIMEOUT_S: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class Hook:
    """One webhook. is_fatal: if it cannot be asked, the request is refused. reviews: versions of these."""

    configuration: str
    name: str
    client: Mapping[str, Any]
    rules: Sequence[Rule]
    is_equivalent: bool
    namespaces: LabelSelector
    objects: LabelSelector
    conditions: Conditions | None
    is_fatal: bool
    timeout_s: int
    side_effects: str
    reviews: Sequence[str]
    is_repeated: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A webhook, and the resource as which it is shown a kind of request. index: its place among all."""

    hook: Hook
    resource: Resource
    index: int = field(compare=False)


def read(configurations: Iterable[Mapping[str, Any]]) -> list[Hook]:
    """Read all webhooks, in order of their configurations' names."""
    ordered = sorted(configurations, key=lambda c: str(c["metadata"]["name"]))
    return [_read(c["metadata"]["name"], hook) for c in ordered for hook in c.get("webhooks") or ()]


def _read(configuration: str, hook: Mapping[str, Any]) -> Hook:
    conditions, is_fatal = hook.get("matchConditions"), hook.get("failurePolicy") != "Ignore"
    return Hook(
        configuration,
        hook["name"],
        hook.get("clientConfig") or {},
        rules.read(hook.get("rules")),
        hook.get("matchPolicy") != "Exact",
        selectors.from_object(hook.get("namespaceSelector") or {}),
        selectors.from_object(hook.get("objectSelector") or {}),
        Conditions.read(conditions, is_fatal=is_fatal) if conditions else None,
        is_fatal,
        int(hook.get("timeoutSeconds") or DEFAULT_TIMEOUT_S),
        hook.get("sideEffects") or "",
        hook.get("admissionReviewVersions") or (),
        hook.get("reinvocationPolicy") == "IfNeeded",
    )


def candidates(
    hooks: Sequence[Hook], operation: str, resource: Resource, others: Sequence[Resource], subresource: str
) -> tuple[Candidate, ...]:
    """List the webhooks whose rules are about such requests. others: the equivalent resources."""
    result = []
    for index, hook in enumerate(hooks):
        wanted = others if hook.is_equivalent else ()
        found = rules.found(hook.rules, operation, resource, wanted, subresource)
        if found:
            result.append(Candidate(hook, found[0][1], index))
    return tuple(result)
