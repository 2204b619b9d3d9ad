"""What a policy or a binding is about. Pure.

Source: staging apiserver pkg/admission/plugin/policy/matching/matching.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from nanokube.api import selectors
from nanokube.api.resources import Resource
from nanokube.api.selectors import LabelSelector
from nanokube.apiserver.admission.matching import rules
from nanokube.apiserver.admission.matching.rules import Rule


@dataclass(frozen=True, slots=True)
class Selected:
    """What is left to compare with one request. matched: (names, resource) pairs; no names: any.

    excluded: names that are not meant.
    """

    namespaces: LabelSelector
    objects: LabelSelector
    matched: tuple[tuple[frozenset[str], Resource], ...]
    excluded: frozenset[str]

    def resource(self, name: str) -> Resource | None:
        """Find the resource as which an object of that name is meant, if it is."""
        if name in self.excluded:
            return None
        return next((resource for names, resource in self.matched if not names or name in names), None)

    @property
    def has_names(self) -> bool:
        """Whether the object's name matters."""
        return bool(self.excluded) or bool(self.matched[0][0])


@dataclass(frozen=True, slots=True)
class Criteria:
    """matchConstraints or matchResources."""

    namespaces: LabelSelector
    objects: LabelSelector
    rules: tuple[Rule, ...]
    excluded: tuple[Rule, ...]
    is_equivalent: bool

    @classmethod
    def read(cls, match: Mapping[str, Any] | None) -> Self:
        """Read MatchResources; None is about everything."""
        found = match or {}
        return cls(
            selectors.from_object(found.get("namespaceSelector") or {}),
            selectors.from_object(found.get("objectSelector") or {}),
            rules.read(found.get("resourceRules")),
            rules.read(found.get("excludeResourceRules")),
            found.get("matchPolicy") != "Exact",
        )

    def select(
        self, operation: str, resource: Resource, others: Sequence[Resource], subresource: str
    ) -> Selected | None:
        """Compare with a kind of request; None if it is not meant. others: the equivalent resources."""
        wanted = others if self.is_equivalent else ()
        excluded = rules.found(self.excluded, operation, resource, wanted, subresource)
        if any(not rule.names for rule, _ in excluded):
            return None
        matched: tuple[tuple[frozenset[str], Resource], ...]
        if self.rules:
            found = rules.found(self.rules, operation, resource, wanted, subresource)
            matched = tuple((rule.names, shown) for rule, shown in found)
        else:
            matched = ((frozenset(), resource),)
        if not matched:
            return None
        names = frozenset().union(*(rule.names for rule, _ in excluded))
        return Selected(self.namespaces, self.objects, matched, names)
