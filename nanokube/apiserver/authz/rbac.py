"""RBAC: Roles, ClusterRoles and their bindings decide, read from the server's own caches.

An index by subject is made when a question comes after a change; answers are remembered until the next.
Source: plugin/pkg/auth/authorizer/rbac/rbac.go, component-helpers/auth/rbac/validation/rule.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from nanokube.apiserver.authn.user import User, service_account
from nanokube.apiserver.authz import rules
from nanokube.apiserver.authz.authorizer import Attributes, Decision
from nanokube.apiserver.authz.rules import Rule
from nanokube.apiserver.cache.cache import Change
from nanokube.apiserver.cache.caches import Caches

GROUP: Final = "rbac.authorization.k8s.io"
CLUSTER_ROLES: Final = f"clusterroles.{GROUP}"
ROLES: Final = f"roles.{GROUP}"
CLUSTER_BINDINGS: Final = f"clusterrolebindings.{GROUP}"
BINDINGS: Final = f"rolebindings.{GROUP}"
_REMEMBERED: Final = 4096
_Answer = tuple[Decision, str]


@dataclass(slots=True)
class Grant:
    """What one binding gives one subject. rules None: the role does not exist."""

    rules: tuple[Rule, ...] | None
    objects: tuple[Mapping[str, Any], ...]
    source: str
    role: str


@dataclass(slots=True)
class _Index:
    everywhere: dict[str, list[Grant]] = field(default_factory=dict)
    inside: dict[str, dict[str, list[Grant]]] = field(default_factory=dict)


class Rbac:
    """The authorizer, and the rules that escalation checks and reviews ask for.

    remembered: its answers, as long as they hold; to be read.
    """

    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._index: _Index | None = None
        self.remembered: dict[Attributes, _Answer] = {}
        for name in (CLUSTER_ROLES, ROLES, CLUSTER_BINDINGS, BINDINGS):
            caches.of(name).attach(self)

    def offer(self, change: Change) -> None:
        """Forget the index: roles or bindings changed."""
        self._index = None
        self.remembered.clear()

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on time."""

    def authorize(self, attributes: Attributes) -> _Answer:
        """Decide."""
        found = self.remembered.get(attributes)
        if found is None:
            found = self._decide(attributes)
            if len(self.remembered) >= _REMEMBERED:
                self.remembered.clear()
            self.remembered[attributes] = found
        return found

    def _decide(self, a: Attributes) -> _Answer:
        absent = []
        for grant in self.grants(a.user, a.namespace):
            if grant.rules is None:
                absent.append(grant.role)
            elif any(rule.allows(a) for rule in grant.rules):
                return Decision.ALLOW, f"RBAC: allowed by {grant.source}"
        if not absent:
            return Decision.NO_OPINION, ""
        return Decision.NO_OPINION, "RBAC: " + _aggregate([f"{role} not found" for role in absent])

    def grants(self, user: User, namespace: str) -> Iterator[Grant]:
        """Yield what bindings give a user, cluster-wide and in a namespace ("" for none)."""
        index = self._index
        if index is None:
            index = self._index = self._build()
        subjects = (f"User:{user.name}", *(f"Group:{group}" for group in user.groups))
        for subject in subjects:
            yield from index.everywhere.get(subject, ())
        inside = index.inside.get(namespace)
        if namespace and inside:
            for subject in subjects:
                yield from inside.get(subject, ())

    def rules_for(self, user: User, namespace: str) -> list[Rule]:
        """List the rules that a user has in a namespace."""
        return [rule for grant in self.grants(user, namespace) for rule in grant.rules or ()]

    def objects_for(self, user: User, namespace: str) -> list[Mapping[str, Any]]:
        """List these rules as PolicyRules."""
        return [rule for grant in self.grants(user, namespace) for rule in grant.objects]

    def rules_of(self, ref: Mapping[str, Any], namespace: str) -> list[Rule] | None:
        """List the rules of the role that a binding refers to, or None if there is no such role."""
        is_global = ref.get("kind") == "ClusterRole"
        key = ref.get("name", "") if is_global else f"{namespace}/{ref.get('name', '')}"
        item = self._caches.of(CLUSTER_ROLES if is_global else ROLES).find(key)
        return None if item is None else [rules.parse(r) for r in item.object().get("rules") or ()]

    def _build(self) -> _Index:
        index = _Index()
        roles: dict[tuple[str, str], tuple[tuple[Rule, ...], tuple[Mapping[str, Any], ...]]] = {}
        for name in (CLUSTER_ROLES, ROLES):
            for item in self._caches.of(name).scan():
                found = tuple(item.object().get("rules") or ())
                roles[(name, item.key)] = tuple(rules.parse(r) for r in found), found
        for name in (CLUSTER_BINDINGS, BINDINGS):
            for item in self._caches.of(name).scan():
                binding = item.object()
                ref = binding.get("roleRef") or {}
                role = ref.get("name", "")
                is_global = ref.get("kind") == "ClusterRole"
                key = role if is_global else f"{item.namespace}/{role}"
                compiled = roles.get((CLUSTER_ROLES if is_global else ROLES, key))
                into = index.inside.setdefault(item.namespace, {}) if name == BINDINGS else index.everywhere
                resource = "clusterrole" if is_global else "role"
                said = f'{resource}.{GROUP} "{role}"'
                for subject in binding.get("subjects") or ():
                    grant = Grant(
                        compiled[0] if compiled else None,
                        compiled[1] if compiled else (),
                        _source(binding, ref, subject, item.namespace),
                        said,
                    )
                    into.setdefault(_key(subject, item.namespace), []).append(grant)
        return index


def _key(subject: Mapping[str, Any], namespace: str) -> str:
    if subject.get("kind") == "ServiceAccount":
        inside = subject.get("namespace") or namespace
        return f"User:{service_account(inside, subject.get('name', ''))}"
    return f"{subject.get('kind')}:{subject.get('name')}"


def _source(
    binding: Mapping[str, Any], ref: Mapping[str, Any], subject: Mapping[str, Any], namespace: str
) -> str:
    name = binding["metadata"]["name"]
    kind, title = ("RoleBinding", f"{name}/{namespace}") if namespace else ("ClusterRoleBinding", name)
    whom = subject.get("name", "")
    if subject.get("kind") == "ServiceAccount":
        whom += f"/{subject.get('namespace') or namespace}"
    return f'{kind} "{title}" of {ref.get("kind")} "{ref.get("name")}" to {subject.get("kind")} "{whom}"'


def _aggregate(messages: list[str]) -> str:
    unique = list(dict.fromkeys(messages))
    return unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
