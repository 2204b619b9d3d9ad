"""Nobody grants by RBAC what they do not have themselves, unless they may `escalate` or `bind`.

Source: pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased/storage.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nanokube.api import errors
from nanokube.apiserver.admission import chain
from nanokube.apiserver.authn.user import MASTERS, User
from nanokube.apiserver.authz import rules
from nanokube.apiserver.authz.authorizer import Attributes, Authorizer, Decision
from nanokube.apiserver.authz.rbac import GROUP, Rbac
from nanokube.apiserver.authz.rules import Rule

_ROLES: Final = ("Role", "ClusterRole")
_BINDINGS: Final = ("RoleBinding", "ClusterRoleBinding")
_EVERYTHING: Final = (
    Rule(frozenset("*"), frozenset("*"), frozenset("*")),
    Rule(frozenset("*"), urls=frozenset("*")),
)


class Escalation(chain.Plugin):
    """authorizer: of the server; rbac: what users have."""

    def __init__(self, authorizer: Authorizer, rbac: Rbac) -> None:
        self._authorizer = authorizer
        self._rbac = rbac

    def is_about(self, operation: str, resource: str, subresource: str) -> bool:
        """Tell whether one of the hooks may do something about such requests."""
        return resource.endswith(f".{GROUP}")

    async def validate(self, attributes: chain.Attributes) -> None:
        """Refuse grants beyond the user's own."""
        a = attributes
        if a.resource.group != GROUP or a.obj is None or MASTERS in a.user.groups:
            return
        if a.resource.kind in _ROLES:
            self._role(a, a.obj)
        elif a.resource.kind in _BINDINGS:
            self._binding(a, a.obj)

    def _role(self, a: chain.Attributes, obj: Mapping[str, Any]) -> None:
        old: Mapping[str, Any] = a.old or {}
        if obj.get("rules") == old.get("rules") and obj.get("aggregationRule") == old.get("aggregationRule"):
            return
        if self._may(a, "escalate", a.resource.plural, a.name):
            return
        if obj.get("aggregationRule") or old.get("aggregationRule"):
            own = self._rbac.rules_for(a.user, a.namespace)
            if rules.missing(own, _EVERYTHING):
                cause = "must have cluster-admin privileges to use the aggregationRule"
                raise errors.forbidden(a.resource, a.name, cause)
        self._confirm(a, [rules.parse(r) for r in obj.get("rules") or ()])

    def _binding(self, a: chain.Attributes, obj: Mapping[str, Any]) -> None:
        old: Mapping[str, Any] = a.old or {}
        if obj.get("roleRef") == old.get("roleRef") and obj.get("subjects") == old.get("subjects"):
            return
        ref = obj.get("roleRef") or {}
        plural = "clusterroles" if ref.get("kind") == "ClusterRole" else "roles"
        if self._may(a, "bind", plural, ref.get("name", "")):
            return
        granted = self._rbac.rules_of(ref, a.namespace)
        if granted is None:
            about = f'{plural}.{GROUP} "{ref.get("name", "")}" not found'
            raise errors.ApiError("NotFound", 404, about)
        self._confirm(a, granted)

    def _may(self, a: chain.Attributes, verb: str, plural: str, name: str) -> bool:
        question = Attributes(a.user, verb, GROUP, "v1", plural, "", a.namespace, name)
        return self._authorizer.authorize(question)[0] is Decision.ALLOW

    def _confirm(self, a: chain.Attributes, wanted: Sequence[Rule]) -> None:
        absent = rules.missing(self._rbac.rules_for(a.user, a.namespace), wanted)
        if absent:
            listed = "\n".join(rules.describe(absent))
            cause = f"{_whom(a.user)} is attempting to grant RBAC permissions not currently held:\n{listed}"
            raise errors.forbidden(a.resource, a.name, cause)


def _whom(user: User) -> str:
    groups = " ".join(f'"{group}"' for group in user.groups)
    return f'user "{user.name}" (groups=[{groups}])'
