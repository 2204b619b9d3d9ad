"""The bootstrap policy: roles and bindings that exist from the first request on.

`policy.json` holds upstream's facts, a line a role: rules as [verbs, groups, resources, names] or
[verbs, URLs]; subjects as "U:user", "G:group", "S:namespace/name".
Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from nanokube.api.bootstrap_tokens import (
    CERTIFICATES,
    CLUSTER_INFO,
    CLUSTER_INFO_NAMESPACE,
    JOIN_GROUP,
    NAMESPACE,
    SERVER_GROUP,
    SETTINGS,
)
from nanokube.apiserver.authz.rbac import GROUP

_DATA: Final = Path(__file__).with_name("policy.json")
_AGGREGATE: Final = f"{GROUP}/aggregate-to-"
AUTOUPDATE: Final = "rbac.authorization.kubernetes.io/autoupdate"  # not of the group's name
_KINDS: Final = {"U": "User", "G": "Group", "S": "ServiceAccount"}
# Upstream's manager acts as a ServiceAccount for each controller; ours runs all of them under one identity.
_MANAGER: Final = "nanokube:controllers"
_MANAGER_RULES: Final = (
    ("get list watch create update patch delete deletecollection", "*", "*"),
    ("approve sign", "certificates.k8s.io", "signers"),
)
# Of metrics-server, whose API this server has: who may see Pods may see what they use.
_USAGE: Final = "system:aggregated-metrics-reader"
_USAGE_FACTS: Final = {
    "labels": ("admin", "edit", "view"),
    "rules": (("get list watch", "metrics.k8s.io", "pods nodes"),),
}
# What lets hosts join: read who the cluster is, ask for a certificate, see that name and address are free.
_CSRS: Final = "system:certificates.k8s.io:certificatesigningrequests"
_JOIN_NODES: Final = "nanokube:join"
_JOIN_NODES_RULES: Final = (("get list", "core", "nodes"),)
_JOIN_BINDINGS: Final = (
    ("nanokube:node-bootstrapper", "system:node-bootstrapper", f"G:{JOIN_GROUP}"),
    ("nanokube:approve-bootstrap", f"{_CSRS}:nodeclient", f"G:{JOIN_GROUP}"),
    ("nanokube:approve-renewal", f"{_CSRS}:selfnodeclient", "G:system:nodes"),
    (_JOIN_NODES, _JOIN_NODES, f"G:{JOIN_GROUP}"),
)
_JOIN_ROLES: Final = (
    (f"{CLUSTER_INFO_NAMESPACE}/nanokube:cluster-info", "configmaps", CLUSTER_INFO, "U:system:anonymous"),
    (f"{NAMESPACE}/nanokube:settings", "configmaps", SETTINGS, f"G:{JOIN_GROUP} G:system:nodes"),
    (f"{NAMESPACE}/nanokube:certificates", "secrets", CERTIFICATES, f"G:{SERVER_GROUP}"),
)

Wanted = tuple[str, dict[str, Any]]


def objects() -> Iterator[Wanted]:
    """Yield (resource name, object), roles first."""
    data = orjson.loads(_DATA.read_bytes())
    for name, facts in data["clusterRoles"].items():
        yield f"clusterroles.{GROUP}", _cluster_role(name, facts)
    yield f"clusterroles.{GROUP}", _cluster_role(_USAGE, _USAGE_FACTS)
    yield f"clusterroles.{GROUP}", _cluster_role(_MANAGER, {"rules": _MANAGER_RULES})
    for key, rules in data["roles"].items():
        yield f"roles.{GROUP}", {**_metadata(key), "rules": [_rule(r) for r in rules]}
    for name, subjects in data["clusterRoleBindings"].items():
        yield f"clusterrolebindings.{GROUP}", _binding(name, "ClusterRole", name, subjects)
    manager = ("U:system:kube-controller-manager",)
    yield f"clusterrolebindings.{GROUP}", _binding(_MANAGER, "ClusterRole", _MANAGER, manager)
    for key, (kind, role, subjects) in data["roleBindings"].items():
        yield f"rolebindings.{GROUP}", _binding(key, kind, role, subjects)
    yield from _joining()


def _joining() -> Iterator[Wanted]:
    """Yield what hosts that join, and nodes, may do beyond upstream's policy; kubeadm adds its own."""
    yield f"clusterroles.{GROUP}", _cluster_role(_JOIN_NODES, {"rules": _JOIN_NODES_RULES})
    for name, role, subject in _JOIN_BINDINGS:
        yield f"clusterrolebindings.{GROUP}", _binding(name, "ClusterRole", role, (subject,))
    for key, resource, name, subjects in _JOIN_ROLES:
        rules = [_rule(("get", "core", resource, name))]
        yield f"roles.{GROUP}", {**_metadata(key), "rules": rules}
        role = key.rpartition("/")[2]
        yield f"rolebindings.{GROUP}", _binding(key, "Role", role, subjects.split())


def _cluster_role(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    found = _metadata(name)
    for target in facts.get("labels") or ():
        found["metadata"]["labels"][f"{_AGGREGATE}{target}"] = "true"
    if facts.get("aggregates"):
        selectors = [{"matchLabels": {f"{_AGGREGATE}{n}": "true"}} for n in facts["aggregates"]]
        found["aggregationRule"] = {"clusterRoleSelectors": selectors}
    found["rules"] = [_rule(r) for r in facts.get("rules") or ()]
    return found


def _metadata(key: str) -> dict[str, Any]:
    namespace, _, name = key.rpartition("/")
    metadata: dict[str, Any] = {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {AUTOUPDATE: "true"},
    }
    if namespace:
        metadata["namespace"] = namespace
    return {"metadata": metadata}


def _rule(row: Sequence[str]) -> dict[str, Any]:
    verbs = row[0].split()
    if len(row) == 2:
        return {"verbs": verbs, "nonResourceURLs": row[1].split()}
    groups = ["" if g == "core" else g for g in row[1].split()]
    found: dict[str, Any] = {"verbs": verbs, "apiGroups": groups, "resources": row[2].split()}
    if len(row) > 3:
        found["resourceNames"] = row[3].split()
    return found


def _binding(key: str, kind: str, role: str, subjects: Sequence[str]) -> dict[str, Any]:
    found = _metadata(key)
    found["roleRef"] = {"apiGroup": GROUP, "kind": kind, "name": role}
    found["subjects"] = [_subject(s) for s in subjects]
    return found


def _subject(text: str) -> dict[str, Any]:
    letter, _, name = text.partition(":")
    kind = _KINDS[letter]
    if kind != "ServiceAccount":
        return {"kind": kind, "apiGroup": GROUP, "name": name}
    namespace, _, name = name.partition("/")
    return {"kind": kind, "name": name, "namespace": namespace}
