"""Who may do what: authentication, authorization, reviews, tokens."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nanokube.api import bootstrap_tokens, certificate_requests
from nanokube.kit.http.message import Certificate
from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod

NODE = Certificate("system:node:n1", ("system:nodes",), 4e9)
SCHEDULER = Certificate("system:kube-scheduler", (), 4e9)
NOBODY = Certificate("nobody", (), 4e9)


def bearer(token: str) -> dict[str, Any]:
    return {"certificate": None, "headers": {"authorization": f"Bearer {token}"}}


@pytest.mark.parametrize(
    ("path", "code"), [("/healthz", 200), ("/livez", 200), ("/readyz", 200), ("/version", 200), ("/api", 403)]
)
async def test_strangers_see_health_and_version_only(api: Api, path: str, code: int) -> None:
    reply = await api("GET", path, certificate=None)
    assert reply.code == code


async def test_strangers_see_the_issuer_where_a_role_lets_them(api: Api) -> None:
    """Whoever verifies tokens from outside has none; upstream's role is bound to nobody without one."""
    paths = ("/.well-known/openid-configuration", "/openid/v1/jwks")
    assert [(await api("GET", each, certificate=None)).code for each in paths] == [403, 403]
    group = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:unauthenticated"}
    role = {"kind": "ClusterRole", "apiGroup": group["apiGroup"]}
    role["name"] = "system:service-account-issuer-discovery"
    body = {"metadata": {"name": "oidc"}, "roleRef": role, "subjects": [group]}
    made = await api("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", body)
    assert made.code == 201
    assert [(await api("GET", each, certificate=None)).code for each in paths] == [200, 200]


async def test_wrong_tokens_and_expired_certificates_are_refused(api: Api) -> None:
    reply = await api("GET", "/healthz", **bearer("nonsense"))
    assert (reply.code, reply.json["message"], reply.json["reason"]) == (401, "Unauthorized", "Unauthorized")
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


@pytest.mark.parametrize("subresource", ["exec", "attach", "portforward"])
@pytest.mark.parametrize(
    ("verbs", "method", "code", "message"),
    [
        ([], "GET", 403, 'pods "p" is forbidden: User "nobody" cannot get resource "pods/{}"'),
        ([], "POST", 403, 'pods "p" is forbidden: User "nobody" cannot create resource "pods/{}"'),
        (["create"], "GET", 403, 'pods "p" is forbidden: User "nobody" cannot get resource "pods/{}"'),
        (["get"], "GET", 403, 'pods "p" is forbidden: '),  # k8s#78741: an upgrade is a GET, but no reading
        (["get"], "POST", 403, 'pods "p" is forbidden: User "nobody" cannot create resource "pods/{}"'),
        (["get", "create"], "GET", 404, 'pods "p" not found'),
        (["create"], "POST", 404, 'pods "p" not found'),
    ],
)
async def test_running_something_in_a_pod_is_creating_even_by_a_get(
    api: Api, subresource: str, verbs: list[str], method: str, code: int, message: str
) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    rules = [{"apiGroups": [""], "resources": [f"pods/{subresource}"], "verbs": verbs}]
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "nobody"}]
    if verbs:
        await api("POST", f"{rbac}/roles", {"metadata": {"name": "r"}, "rules": rules})
        body = {"metadata": {"name": "r"}, "roleRef": ref, "subjects": subjects}
        assert (await api("POST", f"{rbac}/rolebindings", body)).code == 201
    reply = await api(method, f"{PODS}/p/{subresource}?command=x", certificate=NOBODY)
    expected = message.format(subresource)
    assert reply.code == code
    assert reply.json["message"].startswith(expected)


@pytest.mark.parametrize(
    ("who", "method", "target", "code"),
    [
        (SCHEDULER, "GET", PODS, 200),
        (SCHEDULER, "POST", f"{PODS}/p/binding", 400),  # allowed; the body is missing
        (SCHEDULER, "POST", PODS, 403),
        (NODE, "GET", PODS, 403),
        (NODE, "GET", f"{PODS}?fieldSelector=spec.nodeName%3Dn2", 403),
        (NODE, "GET", f"{PODS}?fieldSelector=spec.nodeName%3Dn1", 200),
        (NODE, "GET", f"{PODS}/gone", 404),
        (NODE, "GET", "/api/v1/namespaces", 403),
        (NODE, "GET", "/api/v1/persistentvolumes", 403),
        (NODE, "GET", "/api/v1/namespaces/default/persistentvolumeclaims", 403),
        (NODE, "GET", "/apis/storage.k8s.io/v1/csinodes/n1", 404),
        (NODE, "GET", "/apis/storage.k8s.io/v1/csinodes/n2", 403),
        (NODE, "GET", "/apis/storage.k8s.io/v1/volumeattachments/v", 403),
        (NODE, "GET", "/apis/resource.k8s.io/v1/resourceslices", 403),
        (NODE, "GET", "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.nodeName%3Dn1", 200),
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


async def test_a_node_knows_all_pods_while_there_are_network_policies(api: Api) -> None:
    policies = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
    spec: dict[str, Any] = {"podSelector": {}}
    assert (await api("POST", policies, {"metadata": {"name": "deny"}, "spec": spec})).code == 201
    for target, code in (
        ("/apis/networking.k8s.io/v1/networkpolicies", 200),
        ("/api/v1/pods", 200),
        ("/api/v1/namespaces", 200),
        ("/api/v1/secrets", 403),
    ):
        assert (await api("GET", target, certificate=NODE)).code == code
    assert (await api("DELETE", "/api/v1/namespaces/default", certificate=NODE)).code == 403
    assert (await api("DELETE", f"{policies}/deny", certificate=NODE)).code == 403
    assert (await api("DELETE", f"{policies}/deny")).code == 200
    assert (await api("GET", "/apis/networking.k8s.io/v1/networkpolicies", certificate=NODE)).code == 200
    assert (await api("GET", "/api/v1/pods", certificate=NODE)).code == 403


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
    labelled = {**status, "metadata": {"labels": {"app": "web"}}}
    assert (
        "labels through pod status"
        in (await api("PATCH", f"{PODS}/mine/status", labelled, **merge)).body.decode()
    )
    for name, code in (("mine", 201), ("other", 403)):
        # older clients, and fabric8 still, say v1beta1
        evicted = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": name}}
        assert (await api("POST", f"{PODS}/{name}/eviction", evicted, certificate=NODE)).code == code


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"metadata": {"labels": {"example.com/disk": "ssd"}}}, ""),
        ({"metadata": {"labels": {"topology.kubernetes.io/zone": "a"}}}, ""),
        ({"metadata": {"labels": {"x.node.kubernetes.io/y": "a"}}}, ""),
        (
            {"metadata": {"labels": {"node-restriction.kubernetes.io/fips": "true"}}},
            "modify labels: node-res",
        ),
        ({"metadata": {"labels": {"x.node-restriction.kubernetes.io/y": "true"}}}, "modify labels: x.node-r"),
        ({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}, "modify labels: node-role"),
        ({"metadata": {"labels": {"k8s.io/own": ""}}}, "modify labels: k8s.io/own"),
        ({"spec": {"taints": None}}, "not allowed to modify taints"),
        (
            {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "y"}]}},
            "own",
        ),
    ],
)
async def test_a_node_does_not_steer_pods_to_itself(api: Api, change: dict[str, Any], cause: str) -> None:
    nodes = "/api/v1/nodes"
    refused = {"metadata": {"name": "n1", "labels": {"node-role.kubernetes.io/control-plane": ""}}}
    reply = await api("POST", nodes, refused, certificate=NODE)
    assert "to set the following labels: node-role.kubernetes.io/control-plane" in reply.json["message"]
    assert (await api("POST", nodes, {"metadata": {"name": "n2"}}, certificate=NODE)).code == 403
    assert (await api("POST", nodes, {"metadata": {"name": "n1"}}, certificate=NODE)).code == 201
    merge = {"certificate": NODE, "content_type": "application/merge-patch+json"}
    reply = await api("PATCH", f"{nodes}/n1", change, **merge)
    assert reply.code == (403 if cause else 200)
    assert cause in reply.body.decode()


async def test_a_node_reads_the_volumes_of_its_pods(api: Api) -> None:
    claims, volumes = "/api/v1/namespaces/default/persistentvolumeclaims", "/api/v1/persistentvolumes"
    for name, node in (("mine", "n1"), ("other", "n2")):
        size = {"resources": {"requests": {"storage": "1Gi"}}, "accessModes": ["ReadWriteOnce"]}
        spec = {**size, "volumeName": f"v-{name}", "storageClassName": ""}
        assert (await api("POST", claims, {"metadata": {"name": name}, "spec": spec})).code == 201
        secret = {"name": f"s-{name}", "namespace": "kube-system"}
        volume = {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "claimRef": {"namespace": "default", "name": name},
            "csi": {"driver": "d", "volumeHandle": "h", "nodePublishSecretRef": secret},
        }
        made = await api("POST", volumes, {"metadata": {"name": f"v-{name}"}, "spec": volume})
        assert made.code == 201, made.body.decode()
        used = {"name": "v", "persistentVolumeClaim": {"claimName": name}}
        await api("POST", PODS, pod(name, volumes=[used]))
        to = {"metadata": {"name": name}, "target": {"kind": "Node", "name": node}}
        assert (await api("POST", f"{PODS}/{name}/binding", to)).code == 201
    secrets = "/api/v1/namespaces/kube-system/secrets/s"
    for place, codes in (
        (f"{claims}/", (200, 403)),
        (f"{volumes}/v-", (200, 403)),
        (f"{secrets}-", (404, 403)),
    ):
        assert (await api("GET", f"{place}mine", certificate=NODE)).code == codes[0]
        assert (await api("GET", f"{place}other", certificate=NODE)).code == codes[1]
    merge = {"certificate": NODE, "content_type": "application/merge-patch+json"}
    grown = {"status": {"capacity": {"storage": "1Gi"}}}
    assert (await api("PATCH", f"{claims}/mine/status", grown, **merge)).code == 200
    assert (await api("PATCH", f"{claims}/other/status", grown, **merge)).code == 403
    assert (await api("PATCH", f"{claims}/mine/status", {"status": {"phase": "Lost"}}, **merge)).code == 403


async def test_a_node_has_tokens_for_what_its_pods_name(api: Api) -> None:
    source = {"serviceAccountToken": {"path": "t", "audience": "vault"}}
    await api("POST", PODS, pod("p", volumes=[{"name": "v", "projected": {"sources": [source]}}]))
    to = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
    await api("POST", f"{PODS}/p/binding", to)
    uid = (await api("GET", f"{PODS}/p")).json["metadata"]["uid"]
    target = "/api/v1/namespaces/default/serviceaccounts/default/token"
    bound = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid}
    for audiences, code in ((["vault"], 201), (["other"], 403), (["vault", "other"], 403)):
        spec = {"audiences": audiences, "boundObjectRef": bound}
        assert (await api("POST", target, {"spec": spec}, certificate=NODE)).code == code
    assert (await api("POST", target, {"spec": {"audiences": ["vault"]}}, certificate=NODE)).code == 403


async def test_a_node_writes_its_own_lease_and_records_only(api: Api) -> None:
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    slices = "/apis/resource.k8s.io/v1/resourceslices"
    for name, code in (("n1", 201), ("n2", 403)):
        assert (await api("POST", leases, {"metadata": {"name": name}}, certificate=NODE)).code == code
        drivers = {"metadata": {"name": name}, "spec": {"drivers": []}}
        assert (await api("POST", "/apis/storage.k8s.io/v1/csinodes", drivers, certificate=NODE)).code == code
        pool = {"name": name, "generation": 1, "resourceSliceCount": 1}
        body = {"metadata": {"name": name}, "spec": {"nodeName": name, "driver": "d", "pool": pool}}
        made = await api("POST", slices, body, certificate=NODE)
        assert made.code == code, made.body.decode()
        await api("POST", slices, body)
        assert (await api("DELETE", f"{slices}/{name}", certificate=NODE)).code == (
            200 if code == 201 else 403
        )


async def test_a_node_asks_for_certificates_of_its_own_name(api: Api) -> None:
    target = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    for name, code in (("n1", 201), ("n2", 403)):
        key = ec.generate_private_key(ec.SECP256R1())
        names = [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{name}"),
        ]
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
        pem = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        body = certificate_requests.build(pem, certificate_requests.KUBELET_CLIENT)
        body["metadata"] = {"name": name}
        reply = await api("POST", target, body, certificate=NODE)
        assert reply.code == code, reply.body.decode()


async def test_tokens_name_their_account_and_die_with_what_they_are_bound_to(api: Api) -> None:
    uid = (await api("POST", PODS, pod())).json["metadata"]["uid"]
    request = {"spec": {"boundObjectRef": {"kind": "Pod", "name": "p", "uid": uid}, "expirationSeconds": 600}}
    target = "/api/v1/namespaces/default/serviceaccounts/default/token"
    made = await api("POST", target, request)
    assert (made.code, "uid" in made.json["metadata"]) == (201, True)
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
    free = await api("POST", target, {"spec": {}})
    assert free.json["spec"]["boundObjectRef"] is None
    odd = await api("POST", target, {"spec": {"boundObjectRef": {"kind": "Odd", "apiVersion": "v1"}}})
    told = "cannot bind token to object of type /v1, Kind=Odd"
    assert (odd.code, odd.json["message"]) == (400, told)


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
    own = {"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]}
    for selector, allowed in ((own, True), ({"rawSelector": "spec.nodeName=n1"}, True), (None, False)):
        asked: dict[str, Any] = {"verb": "list", "resource": "pods"}
        asked |= {"fieldSelector": selector} if selector else {}
        spec = {"user": "system:node:n1", "groups": ["system:nodes"], "resourceAttributes": asked}
        reply = await api("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
        assert reply.json["status"]["allowed"] is allowed


async def test_token_reviews_know_bootstrap_tokens(api: Api) -> None:
    usages = frozenset((bootstrap_tokens.AUTHENTICATION,))
    known = bootstrap_tokens.BootstrapToken("abcdef", "0123456789abcdef", None, usages, ())
    secrets = "/api/v1/namespaces/kube-system/secrets"
    assert (await api("POST", secrets, bootstrap_tokens.to_secret(known))).code == 201
    target = "/apis/authentication.k8s.io/v1/tokenreviews"
    spec: dict[str, Any] = {"token": "abcdef.0123456789abcdef"}
    status = (await api("POST", target, {"spec": spec})).json["status"]
    assert (status["authenticated"], status["user"]["username"]) == (True, "system:bootstrap:abcdef")
    status = (await api("POST", target, {"spec": {**spec, "audiences": ["vault"]}})).json["status"]
    assert "authenticated" not in status


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
