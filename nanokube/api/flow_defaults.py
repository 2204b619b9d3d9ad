"""The FlowSchemas and PriorityLevelConfigurations that every cluster has. Pure.

Mandatory ones always have this spec; suggested ones are kept so unless an administrator takes them over.
Source: apiserver/pkg/apis/flowcontrol/bootstrap/default.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

AUTO_UPDATE: Final = "apf.kubernetes.io/autoupdate-spec"
API_VERSION: Final = "flowcontrol.apiserver.k8s.io/v1"
EXEMPT: Final = "exempt"
CATCH_ALL: Final = "catch-all"
# name: shares, lendable percent, queues, hand size
_LEVELS: Final = {
    "system": (30, 33, 64, 6),
    "node-high": (40, 25, 64, 6),
    "leader-election": (10, 0, 16, 4),
    "workload-high": (40, 50, 128, 6),
    "workload-low": (100, 90, 128, 6),
    "global-default": (20, 50, 128, 6),
}
_QUEUE_LENGTH: Final = 50
_BY_USER: Final = "ByUser"
_BY_NAMESPACE: Final = "ByNamespace"
_ANYONE: Final = ("system:unauthenticated", "system:authenticated")

Specs = Mapping[str, dict[str, Any]]


def _rule(verbs: list[str], groups: list[str], resources: list[str], *, is_global: bool) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "verbs": verbs,
        "apiGroups": groups,
        "resources": resources,
        "namespaces": ["*"],
    }
    return {**rule, "clusterScope": True} if is_global else rule


_EVERY_RESOURCE: Final = [_rule(["*"], ["*"], ["*"], is_global=True)]
_EVERY_URL: Final = [{"verbs": ["*"], "nonResourceURLs": ["*"]}]


def _groups(*names: str) -> list[dict[str, Any]]:
    return [{"kind": "Group", "group": {"name": name}} for name in names]


def _users(*names: str) -> list[dict[str, Any]]:
    return [{"kind": "User", "user": {"name": name}} for name in names]


def _system_accounts() -> list[dict[str, Any]]:
    return [{"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": "kube-system"}}]


def _schema(
    level: str,
    precedence: int,
    distinguisher: str,
    subjects: list[dict[str, Any]],
    resources: list[dict[str, Any]] | None = None,
    urls: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Make a spec; without rules given, it is for everything."""
    if resources is None and urls is None:
        resources, urls = _EVERY_RESOURCE, _EVERY_URL
    rule: dict[str, Any] = {"subjects": subjects}
    if resources:
        rule["resourceRules"] = resources
    if urls:
        rule["nonResourceRules"] = urls
    spec = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": [rule]}
    return {**spec, "distinguisherMethod": {"type": distinguisher}} if distinguisher else spec


def _level(shares: int, lendable: int, queues: int, hand: int) -> dict[str, Any]:
    queuing = {"queues": queues, "handSize": hand, "queueLengthLimit": _QUEUE_LENGTH}
    limited = {
        "nominalConcurrencyShares": shares,
        "lendablePercent": lendable,
        "limitResponse": {"type": "Queue", "queuing": queuing},
    }
    return {"type": "Limited", "limited": limited}


MANDATORY_LEVELS: Final[Specs] = {
    CATCH_ALL: {
        "type": "Limited",
        "limited": {
            "nominalConcurrencyShares": 5,
            "lendablePercent": 0,
            "limitResponse": {"type": "Reject"},
        },
    },
    EXEMPT: {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}},
}
MANDATORY_SCHEMAS: Final[Specs] = {
    EXEMPT: _schema(EXEMPT, 1, "", _groups("system:masters")),
    CATCH_ALL: _schema(CATCH_ALL, 10_000, _BY_USER, _groups(*_ANYONE)),
}
SUGGESTED_LEVELS: Final[Specs] = {name: _level(*numbers) for name, numbers in _LEVELS.items()}
_LEASES: Final = ["coordination.k8s.io"], ["leases"]
SUGGESTED_SCHEMAS: Final[Specs] = {
    "system-nodes": _schema("system", 500, _BY_USER, _groups("system:nodes")),
    "system-node-high": _schema(
        "node-high",
        400,
        _BY_USER,
        _groups("system:nodes"),
        [
            _rule(["*"], [""], ["nodes", "nodes/status"], is_global=True),
            _rule(["*"], *_LEASES, is_global=False),
        ],
    ),
    "probes": _schema(
        EXEMPT,
        2,
        "",
        _groups(*_ANYONE),
        urls=[{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}],
    ),
    "system-leader-election": _schema(
        "leader-election",
        100,
        _BY_USER,
        _users("system:kube-controller-manager", "system:kube-scheduler") + _system_accounts(),
        [_rule(["get", "create", "update"], *_LEASES, is_global=False)],
    ),
    "kube-controller-manager": _schema(
        "workload-high", 800, _BY_NAMESPACE, _users("system:kube-controller-manager")
    ),
    "kube-scheduler": _schema("workload-high", 800, _BY_NAMESPACE, _users("system:kube-scheduler")),
    "kube-system-service-accounts": _schema("workload-high", 900, _BY_NAMESPACE, _system_accounts()),
    "service-accounts": _schema("workload-low", 9000, _BY_USER, _groups("system:serviceaccounts")),
    "global-default": _schema("global-default", 9900, _BY_USER, _groups(*_ANYONE)),
}
