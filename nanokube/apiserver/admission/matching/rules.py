"""Rules of webhooks and policies: which operations on which resources. Pure.

Source: staging apiserver pkg/admission/plugin/webhook/predicates/rules/rules.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api.resources import Resource

ALL: Final = "*"
# Kinds whose writes no webhook and no policy is asked about: else a bad one could not be taken away.
_EXEMPT: Final = frozenset(
    (
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
    )
)


def is_exempt(resource: Resource) -> bool:
    """Tell whether a resource configures admission itself."""
    return resource.group == "admissionregistration.k8s.io" and resource.plural in _EXEMPT


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. names: of objects, empty for all; only policies have them."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[tuple[str, str], ...]  # plural, subresource
    scope: str
    names: frozenset[str] = frozenset()

    def matches(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Tell whether the rule is about such requests, whatever the object's name."""
        return (
            _has(self.operations, operation)
            and _has(self.groups, resource.group)
            and _has(self.versions, resource.version)
            and self._is_in_scope(resource)
            and any(
                plural in (ALL, resource.plural) and sub in (ALL, subresource)
                for plural, sub in self.resources
            )
        )

    def _is_in_scope(self, resource: Resource) -> bool:
        """Namespaces are cluster-scoped, although requests for them name a namespace."""
        if self.scope == "Namespaced":
            return resource.namespaced
        return self.scope != "Cluster" or not resource.namespaced


def _has(items: frozenset[str], wanted: str) -> bool:
    return wanted in items or ALL in items


def read(rules: Sequence[Mapping[str, Any]] | None) -> tuple[Rule, ...]:
    """Read the rules of a webhook, or of a policy's or binding's match constraints."""
    return tuple(
        Rule(
            frozenset(rule.get("operations") or ()),
            frozenset(rule.get("apiGroups") or ()),
            frozenset(rule.get("apiVersions") or ()),
            tuple(_split(text) for text in rule.get("resources") or ()),
            rule.get("scope") or ALL,
            frozenset(rule.get("resourceNames") or ()),
        )
        for rule in rules or ()
    )


def _split(text: str) -> tuple[str, str]:
    plural, _, subresource = text.partition("/")
    return plural, subresource


def found(
    rules: Sequence[Rule], operation: str, resource: Resource, others: Sequence[Resource], subresource: str
) -> list[tuple[Rule, Resource]]:
    """List the rules about such requests with the resource they name, as it was asked for or equivalent.

    others: the equivalent resources, empty if only the very one counts. In the order in which they decide.
    """
    exact = [(rule, resource) for rule in rules if rule.matches(operation, resource, subresource)]
    return exact + [
        (rule, other) for rule in rules for other in others if rule.matches(operation, other, subresource)
    ]
