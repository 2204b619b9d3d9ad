"""Two authorizers that stand beside RBAC: the masters' group, and nodes. Pure.

Source: plugin/pkg/auth/authorizer/node/node_authorizer.go, bootstrappolicy/policy.go (NodeRules).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nanokube.apiserver.authn.user import (
    MASTERS,
    NODE_PREFIX,
    NODES,
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


_EVENTS: Final = _rule("create update patch", "/events", "events.k8s.io/events")

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
    _rule("create get list watch", "certificates.k8s.io/certificatesigningrequests"),
    _rule("get create update patch delete", "storage.k8s.io/csinodes"),
    _rule("get", "storage.k8s.io/volumeattachments"),
    _rule("get update patch", "/persistentvolumeclaims/status"),
    _EVENTS,
)

# (namespace) -> Pods that run on a node: (node name, namespace) -> objects
PodsOfNode = Callable[[str, str], list[Mapping[str, Any]]]


class Masters:
    """Allows everything to the group system:masters, whatever the roles say."""

    def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """Decide."""
        is_master = MASTERS in attributes.user.groups
        return (Decision.ALLOW, "") if is_master else (Decision.NO_OPINION, "")


def is_node(user: User) -> bool:
    """Tell whether the user is a kubelet."""
    return NODES in user.groups and user.name.startswith(NODE_PREFIX)


class NodeAuthorizer:
    """Kubelets: what their own Pods refer to, and what is about themselves."""

    def __init__(self, pods_of_node: PodsOfNode) -> None:
        self._pods_of_node = pods_of_node

    def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """Decide."""
        user = attributes.user
        if not attributes.is_resource or not is_node(user):
            return Decision.NO_OPINION, ""
        return self._node(attributes, user.name.removeprefix(NODE_PREFIX))

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
