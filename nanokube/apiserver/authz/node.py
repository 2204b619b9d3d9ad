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

# Nodes, endpoints, slices, policies: an agent is service proxy and Pod network too, under the same name.
_NODE_READS: Final = _rule(
    _READ,
    "/services",
    "/endpoints",
    "/nodes",
    "discovery.k8s.io/endpointslices",
    "networking.k8s.io/networkpolicies",
    "node.k8s.io/runtimeclasses",
    "storage.k8s.io/csidrivers",
    "certificates.k8s.io/clustertrustbundles",
)
# Whom a policy means, is known by labels and addresses of all Pods.
_PEER_READS: Final = _rule("list watch", "/namespaces", "/pods")
# What is written is compared with the node by admission, which sees objects (admission/node_restriction.py).
_NODE_WRITES: Final = (
    _rule("create", "/nodes"),
    _rule("create delete", "/pods"),
    _rule("create", "/pods/eviction"),
    _rule("update patch", "/pods/status"),
    _rule("create", "authentication.k8s.io/tokenreviews"),
    _rule(
        "create",
        "authorization.k8s.io/subjectaccessreviews",
        "authorization.k8s.io/localsubjectaccessreviews",
    ),
    _rule("create get list watch", "certificates.k8s.io/certificatesigningrequests"),
    _rule("create", "storage.k8s.io/csinodes", "resource.k8s.io/resourceslices"),
    _EVENTS,
)

# (namespace) -> Pods that run on a node: (node name, namespace, "" any) -> objects
PodsOfNode = Callable[[str, str], list[Mapping[str, Any]]]
# (storage name, key) -> live object
Find = Callable[[str, str], Mapping[str, Any] | None]


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
    """Kubelets: what their own Pods refer to, and what is about themselves.

    Upstream keeps a graph of references; the Pods of one node are few enough to be asked each time.
    """

    def __init__(self, pods_of_node: PodsOfNode, find: Find, has_policies: Callable[[], bool]) -> None:
        """has_policies: whether there are NetworkPolicies, for which nodes have to know all Pods."""
        self._pods_of_node = pods_of_node
        self._find = find
        self._has_policies = has_policies

    def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """Decide."""
        user = attributes.user
        if not attributes.is_resource or not is_node(user):
            return Decision.NO_OPINION, ""
        if _NODE_READS.allows(attributes) or any(rule.allows(attributes) for rule in _NODE_WRITES):
            return Decision.ALLOW, ""
        if _PEER_READS.allows(attributes) and self._has_policies():
            return Decision.ALLOW, ""
        node = user.name.removeprefix(NODE_PREFIX)
        for rules in (self._of_itself, self._of_pods):
            cause = rules(attributes, node)
            if cause is not None:
                return (Decision.NO_OPINION, cause) if cause else (Decision.ALLOW, "")
        return Decision.NO_OPINION, ""

    def _of_itself(self, a: Attributes, node: str) -> str | None:
        """Say why not, "" if it is allowed, None if it is about other resources than these."""
        match a.group, a.full_resource:
            case "", "nodes":
                # A node that leaves takes its Node along, which upstream leaves to people.
                return _unless(a.verb in _CHANGE_OR_DELETE and a.name == node, _other_node(node, a.name))
            case "", "nodes/status":
                return _unless(a.verb in _CHANGE and a.name == node, _other_node(node, a.name))
            case "coordination.k8s.io", "leases":
                if a.namespace != "kube-node-lease":
                    return 'can only access leases in the "kube-node-lease" system namespace'
                if a.verb not in _SINGLE:
                    return "can only get, create, update, patch, or delete a node lease"
                cause = "can only access node lease with the same name as the requesting node"
                return _unless(a.verb == "create" or a.name == node, cause)
            case "storage.k8s.io", "csinodes":
                cause = "can only access CSINode with the same name as the requesting node"
                return _unless(a.verb in _SINGLE and a.name == node, cause)
            case "storage.k8s.io", "volumeattachments":
                return self._bound(a, node, "volumeattachments.storage.k8s.io", _GET)
            case "resource.k8s.io", "resourceslices":
                if a.verb in _SINGLE:
                    return self._bound(a, node, "resourceslices.resource.k8s.io", _SINGLE)
                cause = "can only list/watch/deletecollection resourceslices with nodeName field selector"
                return _unless(a.selected("spec.nodeName") == node, cause)
        return None

    def _of_pods(self, a: Attributes, node: str) -> str | None:
        """Say why not, "" if it is allowed, None if it is about other resources than these."""
        match a.group, a.full_resource:
            case "", "pods":
                return self._pods(a, node)
            case "", "secrets" | "configmaps":
                return self._read(a, node, _READ, "can only read resources of this type")
            case "", "serviceaccounts":
                return self._read(a, node, _GET, "can only create tokens for individual service accounts")
            case "", "serviceaccounts/token":
                return self._read(a, node, _CREATE, "can only create tokens for individual service accounts")
            case ("", "persistentvolumeclaims") | ("resource.k8s.io", "resourceclaims"):
                return self._read(a, node, _GET, "can only get individual resources of this type")
            case "", "persistentvolumeclaims/status":
                return self._read(a, node, _CHANGE, "can only get/update/patch this type")
            case "", "persistentvolumes":
                if a.verb not in _GET or not a.name:
                    return "can only get individual resources of this type"
                return _unless(self._uses_volume(node, a.name), _no_relation(node))
        return None

    def _pods(self, a: Attributes, node: str) -> str:
        if a.verb not in _READ:
            return "can only read pods"
        if a.verb != "get" and a.selected("spec.nodeName") == node:
            return ""
        if not a.name:
            return "can only list/watch pods with spec.nodeName field selector"
        found = self._find("pods", f"{a.namespace}/{a.name}")
        # Of one that is gone the kubelet shall learn just that; upstream refuses, which looks like no right.
        is_own = found is None or (found.get("spec") or {}).get("nodeName") == node
        return _unless(is_own, _no_relation(node))

    def _bound(self, a: Attributes, node: str, storage_name: str, verbs: frozenset[str]) -> str:
        """Allow what names the node in its specification."""
        if a.verb not in verbs or not a.name:
            return "can only get individual resources of this type"
        found = self._find(storage_name, a.name) or {}
        return _unless((found.get("spec") or {}).get("nodeName") == node, _no_relation(node))

    def _read(self, a: Attributes, node: str, verbs: frozenset[str], cause: str) -> str:
        """Allow what a Pod of the node refers to."""
        if a.verb not in verbs:
            return cause
        if not a.namespace:
            return "can only read namespaced object of this type"
        if not a.name:
            return "No Object name found"
        used = any(a.name in references(pod)[a.resource] for pod in self._pods_of_node(node, a.namespace))
        if not used and a.resource == "secrets":
            used = (a.namespace, a.name) in self._secrets_of_volumes(node)
        return _unless(used, _no_relation(node))

    def _uses_volume(self, node: str, name: str) -> bool:
        claim = ((self._find("persistentvolumes", name) or {}).get("spec") or {}).get("claimRef") or {}
        namespace, wanted = claim.get("namespace") or "", claim.get("name") or ""
        pods = self._pods_of_node(node, namespace) if namespace else ()
        return any(wanted in references(pod)["persistentvolumeclaims"] for pod in pods)

    def _secrets_of_volumes(self, node: str) -> set[tuple[str, str]]:
        """Name the Secrets that volumes of the node's Pods need, by namespace."""
        found: set[tuple[str, str]] = set()
        for pod in self._pods_of_node(node, ""):
            namespace = pod["metadata"]["namespace"]
            for claim in references(pod)["persistentvolumeclaims"]:
                bound = (self._find("persistentvolumeclaims", f"{namespace}/{claim}") or {}).get("spec") or {}
                volume = self._find("persistentvolumes", bound.get("volumeName") or "") or {}
                found |= secrets_of_volume(volume)
        return found


_GET: Final = frozenset(("get",))
_CREATE: Final = frozenset(("create",))
_CHANGE: Final = frozenset(("get", "update", "patch"))
_CHANGE_OR_DELETE: Final = frozenset(("update", "patch", "delete"))
_SINGLE: Final = frozenset(("get", "create", "update", "patch", "delete"))


def _unless(is_allowed: bool, cause: str) -> str:
    return "" if is_allowed else cause


def _other_node(node: str, other: str) -> str:
    return f'node "{node}" is not allowed to modify node "{other}"'


def _no_relation(node: str) -> str:
    return f"no relationship found between node '{node}' and this object"


def references(pod: Mapping[str, Any]) -> Mapping[str, set[str]]:
    """Name what a Pod uses in its namespace, by resource."""
    spec = pod.get("spec") or {}
    secrets = {ref.get("name") for ref in spec.get("imagePullSecrets") or ()}
    configmaps: set[str | None] = set()
    claims: set[str | None] = set()
    for volume in spec.get("volumes") or ():
        for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
            secret, configmap = source.get("secret") or {}, source.get("configMap") or {}
            secrets |= {secret.get("secretName") or secret.get("name")}
            configmaps.add(configmap.get("name"))
        secrets.add(((volume.get("csi") or {}).get("nodePublishSecretRef") or {}).get("name"))
        claims.add((volume.get("persistentVolumeClaim") or {}).get("claimName"))
        if "ephemeral" in volume:  # Source: component-helpers storage/ephemeral
            claims.add(f"{pod['metadata'].get('name', '')}-{volume['name']}")
    for key in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(key) or ():
            for env in container.get("env") or ():
                value = env.get("valueFrom") or {}
                secrets.add((value.get("secretKeyRef") or {}).get("name"))
                configmaps.add((value.get("configMapKeyRef") or {}).get("name"))
            for env in container.get("envFrom") or ():
                secrets.add((env.get("secretRef") or {}).get("name"))
                configmaps.add((env.get("configMapRef") or {}).get("name"))
    found = {
        "secrets": secrets,
        "configmaps": configmaps,
        "persistentvolumeclaims": claims,
        "serviceaccounts": {spec.get("serviceAccountName")},
        "resourceclaims": _resource_claims(pod),
    }
    return {resource: {name for name in names if name} for resource, names in found.items()}


def _resource_claims(pod: Mapping[str, Any]) -> set[str | None]:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    named = (*(spec.get("resourceClaims") or ()), *(status.get("resourceClaimStatuses") or ()))
    extended = status.get("extendedResourceClaimStatus") or {}
    return {each.get("resourceClaimName") for each in (*named, extended)}


def secrets_of_volume(volume: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Name the Secrets that a PersistentVolume needs where it is used, by namespace.

    Source: pkg/api/v1/persistentvolume/util.go, of the kinds that are not taken out of the API.
    """
    csi = (volume.get("spec") or {}).get("csi") or {}
    refs = (csi.get(f"{step}SecretRef") or {} for step in ("nodePublish", "nodeStage", "nodeExpand"))
    return {(ref.get("namespace") or "", ref["name"]) for ref in refs if ref.get("name")}
