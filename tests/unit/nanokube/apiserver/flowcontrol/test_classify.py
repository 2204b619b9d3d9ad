"""Which FlowSchema a request falls to, with the schemas every cluster has and with others."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.api import flow_defaults
from nanokube.apiserver.authn.user import AUTHENTICATED, MASTERS, NODES, User, service_account
from nanokube.apiserver.flowcontrol import maintain
from nanokube.apiserver.flowcontrol.classify import Classifier, compile_schema
from nanokube.apiserver.requestinfo import RequestInfo

ADMIN = User("admin", (MASTERS, AUTHENTICATED))
JANE = User("jane", (AUTHENTICATED,))
NODE = User("system:node:n", (NODES, AUTHENTICATED))
MANAGER = User("system:kube-controller-manager", (AUTHENTICATED,))
SYSTEM_ACCOUNT = User(service_account("kube-system", "a"), ("system:serviceaccounts", AUTHENTICATED))
ACCOUNT = User(service_account("d", "a"), ("system:serviceaccounts", AUTHENTICATED))
PODS = RequestInfo(True, "list", "/x", "", "v1", "pods", "d")
LEASE = RequestInfo(True, "update", "/x", "coordination.k8s.io", "v1", "leases", "kube-system", "l")
NODE_STATUS = RequestInfo(True, "patch", "/x", "", "v1", "nodes", "", "n", "status")
HEALTH = RequestInfo(False, "get", "/healthz/ping")
VERSION = RequestInfo(False, "get", "/version")


def _objects(specs: flow_defaults.Specs) -> list[dict[str, Any]]:
    return [{"metadata": {"name": name, "uid": name}, "spec": spec} for name, spec in specs.items()]


DEFAULTS = _objects({**flow_defaults.SUGGESTED_SCHEMAS, **flow_defaults.MANDATORY_SCHEMAS})


def _classifier(*objects: dict[str, Any]) -> Classifier[str]:
    compiled = [compile_schema(obj) for obj in objects]
    return Classifier((schema, schema.name) for schema in compiled)


@pytest.mark.parametrize(
    ("user", "info", "expected"),
    [
        (ADMIN, PODS, "exempt"),
        (ADMIN, VERSION, "exempt"),
        (JANE, PODS, "global-default"),
        (JANE, HEALTH, "probes"),
        (JANE, VERSION, "global-default"),
        (NODE, PODS, "system-nodes"),
        (NODE, LEASE, "system-node-high"),
        (NODE, NODE_STATUS, "system-node-high"),
        (MANAGER, PODS, "kube-controller-manager"),
        (MANAGER, LEASE, "system-leader-election"),
        (SYSTEM_ACCOUNT, PODS, "kube-system-service-accounts"),
        (SYSTEM_ACCOUNT, LEASE, "system-leader-election"),
        (ACCOUNT, PODS, "service-accounts"),
        (User("nobody"), PODS, "catch-all"),
    ],
)
def test_default_schemas(user: User, info: RequestInfo, expected: str) -> None:
    classifier = _classifier(*DEFAULTS)
    assert [classifier.find(user, info) for _ in range(2)] == [expected] * 2


def _schema(name: str, precedence: int, **rule: Any) -> dict[str, Any]:
    subjects = [{"kind": "User", "user": {"name": "*"}}]
    spec = {"matchingPrecedence": precedence, "rules": [{"subjects": subjects, **rule}]}
    return {"metadata": {"name": name}, "spec": spec}


def test_namespaces_and_precedence() -> None:
    rule = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["pods"], "namespaces": ["d"]}
    classifier = _classifier(*DEFAULTS, _schema("b", 5, resourceRules=[rule]), _schema("a", 5))
    assert classifier.find(JANE, PODS) == "b"
    assert classifier.find(JANE, RequestInfo(True, "list", "/x", "", "v1", "pods", "e")) == "global-default"
    assert classifier.find(JANE, RequestInfo(True, "list", "/x", "", "v1", "pods")) == "global-default"
    assert classifier.find(JANE, RequestInfo(True, "get", "/x", "", "v1", "pods", "d", "p", "status")) != "b"


def test_what_makes_a_flow() -> None:
    by_user, by_namespace, one = (
        compile_schema({"metadata": {"name": "s"}, "spec": {"distinguisherMethod": {"type": kind}}})
        for kind in ("ByUser", "ByNamespace", "")
    )
    assert by_user.flow(JANE, PODS) == "s/jane"
    assert by_namespace.flow(JANE, PODS) == "s/d"
    assert one.flow(JANE, PODS) == "s"


SPEC = {"a": 1}


def _live(annotation: str | None, generation: int, spec: Any, name: str = "n") -> dict[str, Any]:
    annotations = {} if annotation is None else {flow_defaults.AUTO_UPDATE: annotation}
    return {
        "metadata": {"name": name, "annotations": annotations, "generation": generation},
        "spec": spec,
    }


@pytest.mark.parametrize(
    ("live", "is_mandatory", "expected"),
    [
        (_live("true", 1, SPEC), False, None),
        (_live("true", 2, {}), False, ("true", SPEC)),
        (_live("false", 2, {}), False, None),
        (_live(None, 1, {}), False, ("true", SPEC)),
        (_live(None, 2, {}), False, ("false", {})),
        (_live("false", 2, {}), True, ("true", SPEC)),
        (_live("true", 2, {"exempt": {"a": 5}}, "exempt"), True, ("true", {"a": 1, "exempt": {"a": 5}})),
    ],
)
def test_what_is_kept(live: dict[str, Any], is_mandatory: bool, expected: tuple[str, Any] | None) -> None:
    found = maintain.revised(live, SPEC, is_mandatory=is_mandatory)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found["metadata"]["annotations"][flow_defaults.AUTO_UPDATE], found["spec"]) == expected


def test_what_was_suggested_once_goes() -> None:
    live = [_live("true", 1, {}, "old"), _live("true", 1, {}, "kept"), _live("false", 1, {}, "mine")]
    assert maintain.unwanted(live, ["kept"]) == ["old"]
