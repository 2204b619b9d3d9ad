"""Roles and bindings: who may do what, who may grant what, and what the server writes at its start."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.kit.http.message import Certificate
from tests.unit.nanokube.apiserver.conftest import PODS, Api

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLES = f"{RBAC}/namespaces/default/roles"
BINDINGS = f"{RBAC}/namespaces/default/rolebindings"
JANE = Certificate("jane", ("developers",), 4e9)
MANAGER = Certificate("system:kube-controller-manager", (), 4e9)
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"


def binding(name: str, role: str, kind: str = "ClusterRole", user: str = "jane") -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": "User", "name": user}],
    }


def role(name: str, *verbs: str, resource: str = "pods") -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "rules": [{"verbs": list(verbs), "apiGroups": [""], "resources": [resource]}],
    }


async def test_a_binding_opens_its_namespace_and_its_end_closes_it(api: Api) -> None:
    assert (await api("GET", PODS, certificate=JANE)).code == 403
    assert (await api("POST", BINDINGS, binding("b", "view"))).code == 201
    assert (await api("GET", PODS, certificate=JANE)).code == 200
    assert (await api("GET", "/api/v1/namespaces/kube-system/pods", certificate=JANE)).code == 403
    assert (await api("GET", "/api/v1/namespaces/default/secrets", certificate=JANE)).code == 403
    assert (await api("DELETE", f"{BINDINGS}/b")).code == 200
    assert (await api("GET", PODS, certificate=JANE)).code == 403


async def test_names_subresources_and_paths_are_matched(api: Api) -> None:
    rules = [
        {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]},
        {"verbs": ["get"], "nonResourceURLs": ["/metrics*"]},
    ]
    assert (
        await api("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "r"}, "rules": rules})
    ).code == 201
    assert (await api("POST", f"{RBAC}/clusterrolebindings", binding("r", "r"))).code == 201
    base = "/api/v1/namespaces/default"
    assert (await api("GET", f"{base}/configmaps/a", certificate=JANE)).code == 404
    assert (await api("GET", f"{base}/configmaps/b", certificate=JANE)).code == 403
    assert (await api("GET", f"{base}/pods/p/log", certificate=JANE)).code == 404
    assert (await api("GET", "/metrics", certificate=JANE)).code == 200


async def test_a_missing_role_is_named_in_the_refusal(api: Api) -> None:
    await api("POST", BINDINGS, binding("b", "absent", "Role"))
    reply = await api("GET", PODS, certificate=JANE)
    assert reply.json["message"].endswith('RBAC: role.rbac.authorization.k8s.io "absent" not found')


async def test_nobody_grants_more_than_they_have(api: Api) -> None:
    await api("POST", BINDINGS, binding("b", "admin"))
    assert (await api("POST", ROLES, role("reader", "get", "list"), certificate=JANE)).code == 201
    refused = await api("POST", ROLES, role("noder", "get", "list", resource="nodes"), certificate=JANE)
    assert refused.code == 403
    assert refused.json["message"] == (
        'roles.rbac.authorization.k8s.io "noder" is forbidden: user "jane" '
        '(groups=["developers" "system:authenticated"]) is attempting to grant RBAC permissions not '
        'currently held:\n{APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}'
    )
    assert (await api("POST", BINDINGS, binding("c", "cluster-admin"), certificate=JANE)).code == 403
    assert (await api("POST", BINDINGS, binding("d", "view", user="joe"), certificate=JANE)).code == 201
    changed = binding("d", "edit", user="joe")
    invalid = await api("PUT", f"{BINDINGS}/d", changed)
    assert (invalid.code, "cannot change roleRef" in invalid.json["message"]) == (422, True)


async def test_the_right_to_bind_is_enough(api: Api) -> None:
    rules = [
        {"verbs": ["create"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["rolebindings"]},
        {
            "verbs": ["bind"],
            "apiGroups": ["rbac.authorization.k8s.io"],
            "resources": ["clusterroles"],
            "resourceNames": ["edit"],
        },
    ]
    await api("POST", ROLES, {"metadata": {"name": "binder"}, "rules": rules})
    await api("POST", BINDINGS, binding("binder", "binder", "Role"))
    assert (await api("POST", BINDINGS, binding("x", "edit", user="joe"), certificate=JANE)).code == 201
    assert (await api("POST", BINDINGS, binding("y", "admin", user="joe"), certificate=JANE)).code == 403


async def test_rules_reviews_list_what_roles_give(api: Api) -> None:
    await api("POST", ROLES, role("reader", "get"))
    await api("POST", BINDINGS, binding("b", "reader", "Role"))
    reply = await api("POST", REVIEWS, {"spec": {"namespace": "default"}}, certificate=JANE)
    status = reply.json["status"]
    assert {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]} in status["resourceRules"]
    assert any("/livez" in rule["nonResourceURLs"] for rule in status["nonResourceRules"])
    assert status["incomplete"] is False


async def test_aggregated_roles_follow_their_parts(api: Api) -> None:
    view = (await api("GET", f"{RBAC}/clusterroles/view")).json
    assert any("deployments" in rule["resources"] for rule in view["rules"])
    extra = role("crontabs", "get", resource="crontabs")
    extra["metadata"]["labels"] = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    await api("POST", f"{RBAC}/clusterroles", extra)
    await api.server.aggregation.settle()
    for name in ("view", "edit", "admin"):
        found = (await api("GET", f"{RBAC}/clusterroles/{name}")).json
        assert any(rule["resources"] == ["crontabs"] for rule in found["rules"]), name


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/api/v1/secrets", 200),
        ("GET", "/apis/apps/v1/deployments", 200),
        ("GET", "/metrics", 403),
    ],
)
async def test_the_manager_may_do_its_work(api: Api, method: str, path: str, code: int) -> None:
    assert (await api(method, path, certificate=MANAGER)).code == code


async def test_what_an_administrator_took_away_from_a_default_role_comes_back(api: Api) -> None:
    from nanokube.apiserver import bootstrap_policy

    path = f"{RBAC}/clusterroles/system:basic-user"
    live = (await api("GET", path)).json
    assert live["metadata"]["labels"] == {"kubernetes.io/bootstrapping": "rbac-defaults"}
    await api("PUT", path, {**live, "rules": []})
    await bootstrap_policy.run(api.server.registry)
    assert (await api("GET", path)).json["rules"] == live["rules"]
    revision = api.store.revision
    await bootstrap_policy.run(api.server.registry)
    assert api.store.revision == revision
