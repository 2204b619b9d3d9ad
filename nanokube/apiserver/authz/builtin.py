"""Fixed policies of the cluster's own components. Pure.

They stand until RBAC objects decide; upstream's bootstrap policy is the model.
Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/{policy,controller_policy}.go, authorizer/node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nanokube.apiserver.authn.user import (
    AUTHENTICATED,
    MASTERS,
    NODE_PREFIX,
    NODES,
    SERVICE_ACCOUNT_PREFIX,
    User,
)
from nanokube.apiserver.authz.authorizer import Attributes, Decision

_READ: Final = frozenset(("get", "list", "watch"))
_WRITE: Final = frozenset(("create", "update", "patch", "delete", "deletecollection"))
_ALL: Final = _READ | _WRITE
_ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on resources ("group/resource[/subresource]", "*" any); namespace "" means all."""

    verbs: frozenset[str]
    resources: frozenset[str]
    namespace: str = ""

    def allows(self, a: Attributes) -> bool:
        """Tell whether the rule allows it."""
        if a.verb not in self.verbs or (self.namespace and a.namespace != self.namespace):
            return False
        return _ANY in self.resources or f"{a.group}/{a.full_resource}" in self.resources


def _rule(verbs: frozenset[str] | str, *resources: str, namespace: str = "") -> Rule:
    found = frozenset(verbs.split()) if isinstance(verbs, str) else verbs
    return Rule(found, frozenset(resources), namespace)


_REVIEWS: Final = _rule(
    "create",
    "authentication.k8s.io/selfsubjectreviews",
    "authorization.k8s.io/selfsubjectaccessreviews",
    "authorization.k8s.io/selfsubjectrulesreviews",
)
_EVENTS: Final = _rule("create update patch", "/events", "events.k8s.io/events")
_LEASES: Final = _rule(_ALL, "coordination.k8s.io/leases")

USERS: Final[Mapping[str, tuple[Rule, ...]]] = {
    "system:kube-scheduler": (
        _rule(_READ, _ANY),
        _rule("create", "/bindings", "/pods/binding"),
        _rule("update patch", "/pods/status"),
        _rule("delete", "/pods"),
        _EVENTS,
        _LEASES,
    ),
    "system:kube-proxy": (
        _rule(_READ, "/services", "/endpoints", "/nodes", "discovery.k8s.io/endpointslices"),
        _EVENTS,
    ),
    # Upstream gives each controller an account of its own; here they share the manager's identity.
    "system:kube-controller-manager": (_rule(_ALL, _ANY),),
}

_NODE_READS: Final = _rule(
    _READ,
    "/services",
    "/endpoints",
    "/nodes",
    "/pods",
    "/namespaces",
    "discovery.k8s.io/endpointslices",
    "node.k8s.io/runtimeclasses",
    "storage.k8s.io/csidrivers",
    "storage.k8s.io/csinodes",
    "/persistentvolumes",
    "/persistentvolumeclaims",
)
_NODE_WRITES: Final = (
    _rule("create", "/nodes"),
    _rule("create delete", "/pods"),
    _rule("create", "/pods/eviction"),
    _rule("update patch", "/pods/status"),
    _rule("create", "authentication.k8s.io/tokenreviews", "authorization.k8s.io/subjectaccessreviews"),
    _rule("create get", "certificates.k8s.io/certificatesigningrequests"),
    _EVENTS,
)

_PUBLIC_PATHS: Final = frozenset(
    ("/api", "/apis", "/version", "/healthz", "/livez", "/readyz", "/openapi/v2", "/openapi/v3", "/")
)
_PUBLIC_PREFIXES: Final = ("/api/", "/apis/", "/openapi/", "/livez/", "/readyz/", "/healthz/", "/version/")

# (namespace) -> Pods that run on a node: (node name, namespace) -> objects
PodsOfNode = Callable[[str, str], list[Mapping[str, Any]]]


class BuiltinAuthorizer:
    """Masters, components, nodes, and what everyone who is known may do."""

    def __init__(self, pods_of_node: PodsOfNode) -> None:
        self._pods_of_node = pods_of_node

    def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """Decide."""
        user = attributes.user
        if MASTERS in user.groups:
            return Decision.ALLOW, ""
        if not attributes.is_resource:
            return self._path(attributes), ""
        if AUTHENTICATED in user.groups and _REVIEWS.allows(attributes):
            return Decision.ALLOW, ""
        if any(rule.allows(attributes) for rule in USERS.get(user.name, ())):
            return Decision.ALLOW, ""
        if NODES in user.groups and user.name.startswith(NODE_PREFIX):
            return self._node(attributes, user.name.removeprefix(NODE_PREFIX))
        return Decision.NO_OPINION, ""

    @staticmethod
    def _path(a: Attributes) -> Decision:
        if a.verb not in ("get", "head"):
            return Decision.NO_OPINION
        health = a.path.startswith(("/healthz", "/livez", "/readyz", "/version"))
        known = AUTHENTICATED in a.user.groups
        public = a.path in _PUBLIC_PATHS or a.path.startswith(_PUBLIC_PREFIXES)
        return Decision.ALLOW if health or (known and public) else Decision.NO_OPINION

    def _node(self, a: Attributes, node: str) -> tuple[Decision, str]:
        """Nodes see what their own Pods use, and write what is about themselves.

        Upstream keeps a graph of references; the Pods of one node are few enough to be asked each time.
        """
        if _NODE_READS.allows(a) or any(rule.allows(a) for rule in _NODE_WRITES):
            return Decision.ALLOW, ""
        if (
            a.group == ""
            and a.resource == "nodes"
            and a.name == node
            and a.verb in ("update", "patch", "delete")
        ):
            return Decision.ALLOW, ""
        if a.group == "coordination.k8s.io" and a.resource == "leases" and a.namespace == "kube-node-lease":
            own = a.name == node or a.verb == "create"
            return (Decision.ALLOW, "") if own else (Decision.NO_OPINION, "can only access own node lease")
        if a.full_resource in ("secrets", "configmaps") and a.verb in _READ and a.group == "":
            return self._referenced(a, node)
        if a.full_resource == "serviceaccounts/token" and a.verb == "create":
            pods = self._pods_of_node(node, a.namespace)
            used = any((p.get("spec") or {}).get("serviceAccountName") == a.name for p in pods)
            return (Decision.ALLOW, "") if used else (Decision.NO_OPINION, _NO_RELATION)
        if a.full_resource == "serviceaccounts" and a.verb == "get":
            return Decision.ALLOW, ""
        return Decision.NO_OPINION, ""

    def _referenced(self, a: Attributes, node: str) -> tuple[Decision, str]:
        if not a.name:
            return Decision.NO_OPINION, "No Object name found"
        for pod in self._pods_of_node(node, a.namespace):
            if a.name in references(pod)[a.resource]:
                return Decision.ALLOW, ""
        return Decision.NO_OPINION, _NO_RELATION


_NO_RELATION: Final = "no relationship found between node and this object"


def references(pod: Mapping[str, Any]) -> Mapping[str, set[str]]:
    """Name the Secrets and ConfigMaps that a Pod uses: volumes, environment, pull secrets."""
    spec = pod.get("spec") or {}
    secrets = {ref.get("name", "") for ref in spec.get("imagePullSecrets") or ()}
    configmaps: set[str] = set()
    for volume in spec.get("volumes") or ():
        for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
            secret, configmap = source.get("secret") or {}, source.get("configMap") or {}
            secrets |= {secret.get("secretName") or secret.get("name") or ""}
            configmaps.add(configmap.get("name") or "")
    for key in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(key) or ():
            for env in container.get("env") or ():
                value = env.get("valueFrom") or {}
                secrets.add((value.get("secretKeyRef") or {}).get("name") or "")
                configmaps.add((value.get("configMapKeyRef") or {}).get("name") or "")
            for env in container.get("envFrom") or ():
                secrets.add((env.get("secretRef") or {}).get("name") or "")
                configmaps.add((env.get("configMapRef") or {}).get("name") or "")
    return {"secrets": secrets - {""}, "configmaps": configmaps - {""}}


def is_service_account(user: User) -> bool:
    """Tell whether the user is a ServiceAccount."""
    return user.name.startswith(SERVICE_ACCOUNT_PREFIX)
