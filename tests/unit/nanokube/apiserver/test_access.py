"""Who may do what: authentication, authorization, reviews, tokens."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.kit.http.message import Certificate
from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod

NODE = Certificate("system:node:n1", ("system:nodes",), 4e9)
SCHEDULER = Certificate("system:kube-scheduler", (), 4e9)
NOBODY = Certificate("nobody", (), 4e9)


def bearer(token: str) -> dict[str, Any]:
    return {"certificate": None, "headers": {"authorization": f"Bearer {token}"}}


@pytest.mark.parametrize(
    ("path", "code"), [("/healthz", 200), ("/livez", 200), ("/readyz", 200), ("/version", 200), ("/api", 401)]
)
async def test_strangers_see_health_and_version_only(api: Api, path: str, code: int) -> None:
    reply = await api("GET", path, certificate=None)
    assert reply.code == code
    if code == 401:
        assert (reply.json["message"], reply.json["reason"]) == ("Unauthorized", "Unauthorized")


async def test_wrong_tokens_and_expired_certificates_are_refused(api: Api) -> None:
    assert (await api("GET", "/healthz", **bearer("nonsense"))).code == 401
    old = Certificate("admin", ("system:masters",), 1.0)
    assert (await api("GET", "/api", certificate=old)).code == 401


@pytest.mark.parametrize(
    ("method", "target", "message"),
    [
        (
            "GET",
            PODS,
            'pods is forbidden: User "nobody" cannot list resource "pods" in API group "" '
            'in the namespace "default"',
        ),
        (
            "GET",
            f"{PODS}/p/log",
            'pods "p" is forbidden: User "nobody" cannot get resource "pods/log" in API group "" '
            'in the namespace "default"',
        ),
        (
            "GET",
            "/api/v1/nodes",
            'nodes is forbidden: User "nobody" cannot list resource "nodes" in API group "" '
            "at the cluster scope",
        ),
        ("GET", "/metrics", 'forbidden: User "nobody" cannot get path "/metrics"'),
    ],
)
async def test_refusals_are_worded_as_upstream(api: Api, method: str, target: str, message: str) -> None:
    reply = await api(method, target, certificate=NOBODY)
    assert (reply.code, reply.json["message"]) == (403, message)


async def test_running_something_in_a_pod_is_create_whatever_the_method(api: Api) -> None:
    reply = await api("GET", f"{PODS}/p/exec", certificate=NOBODY)
    assert 'cannot create resource "pods/exec"' in reply.json["message"]


@pytest.mark.parametrize(
    ("who", "method", "target", "code"),
    [
        (SCHEDULER, "GET", PODS, 200),
        (SCHEDULER, "POST", f"{PODS}/p/binding", 400),  # allowed; the body is missing
        (SCHEDULER, "POST", PODS, 403),
        (NODE, "GET", PODS, 200),
        (NODE, "GET", "/api/v1/namespaces/default/secrets", 403),
        (NODE, "GET", "/api/v1/namespaces/default/secrets/s", 403),
        (NODE, "PUT", "/api/v1/nodes/n2/status", 403),
        (NODE, "PATCH", "/api/v1/nodes/n1/status", 415),  # allowed
        (NODE, "GET", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1", 404),
        (NODE, "GET", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2", 403),
    ],
)
async def test_components_may_do_their_work_only(
    api: Api, who: Certificate, method: str, target: str, code: int
) -> None:
    assert (await api(method, target, certificate=who, content_type="text/x")).code in (code, 415)
    reply = await api(method, target, certificate=who)
    assert (reply.code == 403) is (code == 403)


async def test_a_node_reads_the_secrets_of_its_pods_and_touches_no_others(api: Api) -> None:
    volume = {"name": "v", "secret": {"secretName": "s"}}
    for name, node in (("mine", "n1"), ("other", "n2")):
        await api("POST", PODS, pod(name, volumes=[volume] if name == "mine" else []))
        await api(
            "POST",
            f"{PODS}/{name}/binding",
            {"metadata": {"name": name}, "target": {"kind": "Node", "name": node}},
        )
    secrets = "/api/v1/namespaces/default/secrets"
    assert (await api("GET", f"{secrets}/s", certificate=NODE)).code == 404  # allowed, absent
    assert (await api("GET", f"{secrets}/t", certificate=NODE)).code == 403
    merge = {"certificate": NODE, "content_type": "application/merge-patch+json"}
    status: dict[str, Any] = {"status": {"phase": "Running"}}
    assert (await api("PATCH", f"{PODS}/mine/status", status, **merge)).code == 200
    assert (await api("PATCH", f"{PODS}/other/status", status, **merge)).code == 403
    assert (await api("POST", PODS, pod("new"), certificate=NODE)).code == 403


async def test_tokens_name_their_account_and_die_with_what_they_are_bound_to(api: Api) -> None:
    uid = (await api("POST", PODS, pod())).json["metadata"]["uid"]
    request = {"spec": {"boundObjectRef": {"kind": "Pod", "name": "p", "uid": uid}, "expirationSeconds": 600}}
    target = "/api/v1/namespaces/default/serviceaccounts/default/token"
    made = await api("POST", target, request)
    assert made.code == 201
    token = made.json["status"]["token"]
    who = (await api("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, **bearer(token))).json
    info = who["status"]["userInfo"]
    assert info["username"] == "system:serviceaccount:default:default"
    assert "system:serviceaccounts:default" in info["groups"]
    assert info["extra"]["authentication.kubernetes.io/pod-name"] == ["p"]
    assert (await api("GET", "/api", **bearer(token))).code == 200
    assert (await api("GET", PODS, **bearer(token))).code == 403
    review = {"spec": {"token": token}}
    seen = (await api("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)).json["status"]
    assert seen["authenticated"] is True
    api.clock.advance(599)
    assert (await api("GET", "/api", **bearer(token))).code == 200
    await api("DELETE", f"{PODS}/p")
    assert (await api("GET", "/api", **bearer(token))).code == 401
    assert (await api("POST", target, {"spec": {"expirationSeconds": 5}})).code == 422


async def test_expired_and_forged_tokens_are_refused(api: Api) -> None:
    target = "/api/v1/namespaces/default/serviceaccounts/default/token"
    token = (await api("POST", target, {"spec": {"expirationSeconds": 600}})).json["status"]["token"]
    head, claims, signature = token.split(".")
    assert (await api("GET", "/api", **bearer(f"{head}.{claims}.{signature[::-1]}"))).code == 401
    elsewhere = {"spec": {"audiences": ["vault"]}}
    other = (await api("POST", target, elsewhere)).json["status"]["token"]
    assert (await api("GET", "/api", **bearer(other))).code == 401
    api.clock.advance(601)
    assert (await api("GET", "/api", **bearer(token))).code == 401


async def test_static_tokens_name_users(api: Api) -> None:
    reply = await api("GET", PODS, **bearer("secret-token"))
    assert 'User "jane" cannot list' in reply.json["message"]


@pytest.mark.parametrize(("who", "allowed"), [(None, True), (NOBODY, False)])
async def test_access_reviews_answer_for_oneself(api: Api, who: Certificate | None, allowed: bool) -> None:
    options = {"certificate": who} if who else {}
    body = {"spec": {"resourceAttributes": {"verb": "create", "resource": "pods", "namespace": "default"}}}
    target = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    reply = await api("POST", target, body, **options)
    assert (reply.code, reply.json["status"]["allowed"]) == (201, allowed)
    as_table = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    assert (await api("POST", target, body, headers=as_table)).code == 406


async def test_subject_access_reviews_answer_for_others(api: Api) -> None:
    spec = {"user": "system:node:n1", "groups": ["system:nodes"]}
    spec |= {"resourceAttributes": {"verb": "list", "resource": "pods"}}  # type: ignore[dict-item]
    reply = await api("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
    assert reply.json["status"]["allowed"] is True


async def test_masters_may_act_as_others_and_others_may_not(api: Api) -> None:
    as_nobody = {"headers": {"impersonate-user": "jane"}}
    reply = await api("GET", PODS, **as_nobody)
    assert (reply.code, 'User "jane" cannot list' in reply.json["message"]) == (403, True)
    refused = await api("GET", PODS, certificate=NODE, **as_nobody)
    assert refused.json["message"].startswith(
        'users "jane" is forbidden: User "system:node:n1" cannot impersonate resource "users"'
    )
    masters = {"headers": {"impersonate-user": "x", "impersonate-group": "system:masters"}}
    assert (await api("GET", PODS, **masters)).code == 200
    assert (await api("GET", PODS, certificate=NOBODY, **masters)).code == 403
    assert (await api("GET", PODS, headers={"impersonate-group": "system:masters"})).code == 400


@pytest.mark.parametrize(
    ("review", "spec", "causes"),
    [
        (
            "subjectaccessreviews",
            {},
            {
                "spec.resourceAttributes": "exactly one of nonResourceAttributes or resourceAttributes",
                "spec.user": "at least one of user or group must be specified",
            },
        ),
        (
            "selfsubjectaccessreviews",
            {"resourceAttributes": {"verb": "get"}, "nonResourceAttributes": {"path": "/", "verb": "get"}},
            {"spec.nonResourceAttributes": "cannot be specified in combination with resourceAttributes"},
        ),
        (
            "namespaces/default/localsubjectaccessreviews",
            {"user": "u", "resourceAttributes": {"verb": "get", "namespace": "other"}},
            {"spec.resourceAttributes.namespace": "must match metadata.namespace"},
        ),
    ],
)
async def test_reviews_that_ask_nothing_are_refused(
    api: Api, review: str, spec: dict[str, Any], causes: dict[str, str]
) -> None:
    reply = await api("POST", f"/apis/authorization.k8s.io/v1/{review}", {"spec": spec})
    found = {cause["field"]: cause["message"] for cause in reply.json["details"]["causes"]}
    assert (reply.code, found.keys()) == (422, causes.keys())
    assert all(text in found[path] for path, text in causes.items())
