"""Policy rules of RBAC: what one allows, what covers what, how one reads. Pure.

Source: pkg/apis/rbac/v1/evaluation_helpers.go,
component-helpers/auth/rbac/validation/{rule,policy_comparator}.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nanokube.apiserver.authz.authorizer import Attributes

ANY: Final = "*"
_NONE: Final = frozenset[str]()
_SETS: dict[frozenset[str], frozenset[str]] = {}


def _shared(values: Sequence[str] | None) -> frozenset[str]:
    """Most rules name the same few sets: keep each once."""
    found = frozenset(values or ())
    return _SETS.setdefault(found, found)


@dataclass(frozen=True, slots=True)
class Rule:
    """One PolicyRule, ready to be asked."""

    verbs: frozenset[str]
    groups: frozenset[str] = _NONE
    resources: frozenset[str] = _NONE
    names: frozenset[str] = _NONE
    urls: frozenset[str] = _NONE

    def allows(self, a: Attributes) -> bool:
        """Tell whether it allows what is asked."""
        if a.verb not in self.verbs and ANY not in self.verbs:
            return False
        if not a.is_resource:
            return any(_url_covers(url, a.path) for url in self.urls)
        return (
            (a.group in self.groups or ANY in self.groups)
            and self._has_resource(a.full_resource, a.subresource)
            and (not self.names or a.name in self.names)
        )

    def _has_resource(self, full: str, subresource: str) -> bool:
        found = self.resources
        if full in found or ANY in found:
            return True
        return bool(subresource) and f"*/{subresource}" in found

    def covers(self, part: Rule) -> bool:
        """Tell whether it gives all that `part`, one verb of one thing, gives."""
        if not (part.verbs <= self.verbs or ANY in self.verbs):
            return False
        if part.urls:
            return all(any(_url_covers(own, url) for own in self.urls) for url in part.urls)
        if not (part.groups <= self.groups or ANY in self.groups):
            return False
        if not all(self._has_resource(r, r.partition("/")[2]) for r in part.resources):
            return False
        return not self.names or (bool(part.names) and part.names <= self.names)

    def parts(self) -> Iterable[Rule]:
        """Break it down into single permissions."""
        for verb in sorted(self.verbs):
            one = frozenset((verb,))
            for url in sorted(self.urls):
                yield Rule(one, urls=frozenset((url,)))
            for group in sorted(self.groups):
                for resource in sorted(self.resources):
                    where = (one, frozenset((group,)), frozenset((resource,)))
                    for name in sorted(self.names) or ("",):
                        yield Rule(*where, frozenset((name,)) if name else _NONE)


def parse(rule: Mapping[str, Any]) -> Rule:
    """Read a PolicyRule."""
    return Rule(
        _shared(rule.get("verbs")),
        _shared(rule.get("apiGroups")),
        _shared(rule.get("resources")),
        _shared(rule.get("resourceNames")),
        _shared(rule.get("nonResourceURLs")),
    )


def missing(own: Sequence[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """List the single permissions of `wanted` that no rule of `own` covers."""
    return [part for rule in wanted for part in rule.parts() if not any(o.covers(part) for o in own)]


def describe(parts: Iterable[Rule]) -> list[str]:
    """Print single permissions, those that differ only in the verb as one."""
    merged: dict[Rule, set[str]] = {}
    for part in parts:
        key = Rule(_NONE, part.groups, part.resources, part.names, part.urls)
        merged.setdefault(key, set()).update(part.verbs)
    return sorted(_text(rule, verbs) for rule, verbs in merged.items())


def _text(rule: Rule, verbs: set[str]) -> str:
    fields = {
        "APIGroups": rule.groups,
        "Resources": rule.resources,
        "NonResourceURLs": rule.urls,
        "ResourceNames": rule.names,
        "Verbs": verbs,
    }
    said = [
        f"{title}:[{' '.join(_quoted(v) for v in sorted(values))}]"
        for title, values in fields.items()
        if values
    ]
    return "{" + ", ".join(said) + "}"


def _quoted(text: str) -> str:
    return f'"{text}"'


def _url_covers(own: str, url: str) -> bool:
    return own in (ANY, url) or (own.endswith(ANY) and url.startswith(own.rstrip(ANY)))
