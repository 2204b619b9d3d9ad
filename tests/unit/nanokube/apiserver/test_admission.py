"""Admission: limits, quotas, priorities, pod security, classes, certificates; and eviction."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nanokube.kit.http.message import Certificate
from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod

DEFAULT = "/api/v1/namespaces/default"
QUOTAS = f"{DEFAULT}/resourcequotas"
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
JANE = Certificate("jane", (), 4e9)


def sized(name: str, **resources: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "busybox:1", "resources": resources}
    return pod(name, containers=[container])


async def test_limit_ranges_fill_in_and_bound(api: Api) -> None:
    limits = [{"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "500m"}, "min": {"cpu": "50m"}}]
    made = await api(
        "POST", f"{DEFAULT}/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": limits}}
    )
    assert made.json["spec"]["limits"][0]["defaultRequest"] == {"cpu": "500m"}
    first = (await api("POST", PODS, pod("a"))).json
    assert first["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "500m"},
        "requests": {"cpu": "500m"},
    }
    assert first["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    )
    refused = await api("POST", PODS, sized("b", limits={"cpu": "2"}, requests={"cpu": "10m"}))
    assert refused.json["message"] == (
        'pods "b" is forbidden: [minimum cpu usage per Container is 50m, but request is 10m, '
        "maximum cpu usage per Container is 1, but limit is 2]"
    )


async def test_quotas_are_booked_and_kept(api: Api) -> None:
    spec = {"hard": {"pods": "2", "requests.cpu": "1", "count/configmaps": "1"}}
    await api("POST", QUOTAS, {"metadata": {"name": "q"}, "spec": spec})
    assert (await api("POST", f"{PODS}?dryRun=All", sized("a", requests={"cpu": "2"}))).code == 201
    unused = {"status": {"hard": spec["hard"]}}
    assert (await api("PATCH", f"{QUOTAS}/q/status", unused, content_type=MERGE)).code == 200
    unknown = await api("POST", PODS, sized("a", requests={"cpu": "600m"}))
    assert "status unknown for quota: q, resources: pods,requests.cpu" in unknown.json["message"]
    status = {"hard": spec["hard"], "used": {"pods": "0", "requests.cpu": "0", "count/configmaps": "0"}}
    assert (await api("PATCH", f"{QUOTAS}/q/status", {"status": status}, content_type=MERGE)).code == 200
    silent = await api("POST", PODS, pod("a"))
    assert silent.json["message"] == (
        'pods "a" is forbidden: failed quota: q: must specify requests.cpu for: c'
    )
    assert (await api("POST", PODS, sized("a", requests={"cpu": "600m"}))).code == 201
    over = await api("POST", PODS, sized("b", requests={"cpu": "600m"}))
    assert over.json["message"] == (
        'pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=600m, '
        "used: requests.cpu=600m, limited: requests.cpu=1"
    )
    used = (await api("GET", f"{QUOTAS}/q")).json["status"]["used"]
    assert used == {"pods": "1", "requests.cpu": "600m", "count/configmaps": "0"}
    assert (await api("POST", f"{DEFAULT}/configmaps", {"metadata": {"name": "a"}})).code == 201
    assert (await api("POST", f"{DEFAULT}/configmaps", {"metadata": {"name": "b"}})).code == 403


MERGE = "application/merge-patch+json"


async def test_priority_classes_are_resolved(api: Api) -> None:
    assert len((await api("GET", CLASSES)).json["items"]) == 2
    made = {"metadata": {"name": "high"}, "value": 1000, "preemptionPolicy": "Never", "globalDefault": True}
    assert (await api("POST", CLASSES, made)).code == 201
    second = await api("POST", CLASSES, {**made, "metadata": {"name": "other"}})
    assert "PriorityClass high is already marked as default" in second.json["message"]
    spec = (await api("POST", PODS, pod("a"))).json["spec"]
    assert (spec["priorityClassName"], spec["priority"], spec["preemptionPolicy"]) == ("high", 1000, "Never")
    wrong = await api("POST", PODS, pod("b", priorityClassName="absent"))
    assert "no PriorityClass with name absent was found" in wrong.json["message"]
    changed = await api("PATCH", f"{CLASSES}/high", {"value": 5}, content_type=MERGE)
    assert "may not be changed in an update." in changed.json["message"]
    reserved = await api("POST", CLASSES, {"metadata": {"name": "system-x"}, "value": 1})
    assert (reserved.code, "reserved for system use only" in reserved.json["message"]) == (422, True)


async def test_replacing_a_pod_keeps_its_priority(api: Api) -> None:
    assert (await api("POST", CLASSES, {"metadata": {"name": "high"}, "value": 7})).code == 201
    first = (await api("POST", PODS, pod("a", priorityClassName="high"))).json["spec"]
    said = {**first, "priority": None, "preemptionPolicy": None, "activeDeadlineSeconds": 60}
    reply = await api("PUT", f"{PODS}/a", pod("a", **said))
    assert reply.code == 200, reply.json
    assert reply.json["spec"]["priority"] == 7
    assert reply.json["spec"]["preemptionPolicy"] == "PreemptLowerPriority"


async def test_namespaces_demand_pod_security(api: Api) -> None:
    prefix = "pod-security.kubernetes.io/"
    await api("POST", PODS, pod("old"))
    labels = {f"{prefix}enforce": "restricted", f"{prefix}warn": "restricted"}
    change = {"metadata": {"labels": labels}}
    reply = await api("PATCH", "/api/v1/namespaces/default", change, content_type=MERGE)
    assert any('existing pods in namespace \\"default\\"' in text for text in warnings(reply))
    refused = await api("POST", PODS, pod("p"))
    assert refused.json["message"] == (
        'pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false '
        '(container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities '
        '(container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or '
        'container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" '
        'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    )
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "c", "image": "busybox:1", "securityContext": security}
    assert (await api("POST", PODS, pod("q", containers=[container]))).code == 201
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    body = {
        "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
    }
    made = await api("POST", "/apis/apps/v1/namespaces/default/deployments", body)
    assert made.code == 201
    assert any("would violate PodSecurity" in text for text in warnings(made))
    bad = {"metadata": {"labels": {f"{prefix}enforce": "strict"}}}
    assert (await api("PATCH", "/api/v1/namespaces/default", bad, content_type=MERGE)).code == 422


async def test_who_sets_no_level_to_warn_of_is_warned_of_what_is_enforced(api: Api) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    await api("POST", "/api/v1/namespaces", {"metadata": {"name": "n", "labels": labels}})
    spec = {"hostNetwork": True, "containers": [{"name": "c", "image": "i"}]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": spec}
    body = {
        "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
    }
    made = await api("POST", "/apis/apps/v1/namespaces/n/deployments", body)
    said = 'would violate PodSecurity \\"baseline:latest\\": host namespaces (hostNetwork=true)'
    assert [said in text for text in warnings(made)] == [True]


async def test_pods_that_a_new_level_forbids_are_counted_by_reason(api: Api) -> None:
    for name in ("b", "a"):
        await api("POST", PODS, pod(name))
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    reply = await api(
        "PATCH", "/api/v1/namespaces/default", {"metadata": {"labels": labels}}, content_type=MERGE
    )
    reasons = (
        "allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile"
    )
    assert warnings(reply)[1:] == [f'299 - "a (and 1 other pod): {reasons}"']


@pytest.mark.parametrize(
    ("version", "code"), [("latest", 201), ("v1.36", 201), ("v9", 422), ("v1.01", 422), ("1.2", 422)]
)
async def test_versions_of_pod_security_are_judged(api: Api, version: str, code: int) -> None:
    labels = {"pod-security.kubernetes.io/audit-version": version}
    reply = await api("POST", "/api/v1/namespaces", {"metadata": {"name": "n", "labels": labels}})
    assert reply.code == code
    if code == 422:
        said = f'Invalid value: "{version}": must be "latest" or "v1.x"'
        assert reply.json["message"].endswith(f"[pod-security.kubernetes.io/audit-version]: {said}")


async def test_a_refused_review_tells_of_unknown_fields(api: Api) -> None:
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    reply = await api("POST", path, {"spec": {"no": 1}})
    assert (reply.code, warnings(reply)) == (422, ['299 - "unknown field \\"spec.no\\""'])


async def test_reviews_say_of_what_as_upstream(api: Api) -> None:
    path = "/apis/authorization.k8s.io/v1"
    asked = {"user": "u", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}
    reply = await api("POST", f"{path}/namespaces/default/localsubjectaccessreviews", {"spec": asked})
    assert (reply.code, reply.json["metadata"]["namespace"]) == (201, "default")
    reply = await api("POST", f"{path}/selfsubjectrulesreviews", {"spec": {"namespace": "default"}})
    assert (reply.code, reply.json["spec"]) == (201, {})


def warnings(reply: Any) -> list[str]:
    return list(reply.headers.getall("warning"))


async def test_default_classes_finalizers_and_growth_of_claims(api: Api) -> None:
    storage = "/apis/storage.k8s.io/v1/storageclasses"
    mark = {"storageclass.kubernetes.io/is-default-class": "true"}
    made = {"metadata": {"name": "disks", "annotations": mark}, "provisioner": "example.com/p"}
    assert (await api("POST", storage, made)).json["volumeBindingMode"] == "Immediate"
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claims = f"{DEFAULT}/persistentvolumeclaims"
    claim = (await api("POST", claims, {"metadata": {"name": "c"}, "spec": spec})).json
    assert claim["spec"]["storageClassName"] == "disks"
    assert claim["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert claim["status"] == {"phase": "Pending"}
    bound = {"status": {"phase": "Bound"}}
    assert (await api("PATCH", f"{claims}/c/status", bound, content_type=MERGE)).code == 200
    grown = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    refused = await api("PATCH", f"{claims}/c", grown, content_type=MERGE)
    assert "must support resize" in refused.json["message"]
    await api("PATCH", f"{storage}/disks", {"allowVolumeExpansion": True}, content_type=MERGE)
    assert (await api("PATCH", f"{claims}/c", grown, content_type=MERGE)).code == 200


async def test_runtime_classes_give_overhead_and_node_selector(api: Api) -> None:
    body = {
        "metadata": {"name": "vm"},
        "handler": "kata",
        "overhead": {"podFixed": {"cpu": "100m"}},
        "scheduling": {"nodeSelector": {"vm": "yes"}},
    }
    assert (await api("POST", "/apis/node.k8s.io/v1/runtimeclasses", body)).code == 201
    spec = (await api("POST", PODS, pod("a", runtimeClassName="vm"))).json["spec"]
    assert (spec["overhead"], spec["nodeSelector"]) == ({"cpu": "100m"}, {"vm": "yes"})
    wrong = await api("POST", PODS, pod("b", runtimeClassName="absent"))
    assert 'RuntimeClass "absent" not found' in wrong.json["message"]


async def test_new_nodes_are_tainted(api: Api) -> None:
    node = (await api("POST", "/api/v1/nodes", {"metadata": {"name": "n"}})).json
    assert node["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]


def request(organization: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])
    signed = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


def signing(name: str, signer: str, organization: str = "devs") -> dict[str, Any]:
    spec = {"request": request(organization), "signerName": signer, "usages": ["client auth"]}
    return {"metadata": {"name": name}, "spec": spec}


async def test_certificates_name_who_asked_and_are_approved_by_those_who_may(api: Api) -> None:
    rules = [
        {"verbs": ["*"], "apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests*"]}
    ]
    rules[0]["resources"] = ["certificatesigningrequests", "certificatesigningrequests/approval"]
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    await api("POST", f"{rbac}/clusterroles", {"metadata": {"name": "csr"}, "rules": rules})
    bound = {
        "metadata": {"name": "csr"},
        "roleRef": {"kind": "ClusterRole", "name": "csr"},
        "subjects": [{"kind": "User", "name": "jane"}],
    }
    await api("POST", f"{rbac}/clusterrolebindings", bound)
    made = await api("POST", CSRS, signing("c", "example.com/s"), certificate=JANE)
    assert (made.code, made.json["spec"]["username"]) == (201, "jane")
    masters = signing("m", "kubernetes.io/kube-apiserver-client", "system:masters")
    assert (await api("POST", CSRS, masters, certificate=JANE)).code == 403
    condition = {"type": "Approved", "status": "True", "reason": "r", "message": "m"}
    body = {**made.json, "status": {"conditions": [condition]}}
    refused = await api("PUT", f"{CSRS}/c/approval", body, certificate=JANE)
    assert 'user not permitted to approve requests with signerName "example.com/s"' in refused.json["message"]
    approved = await api("PUT", f"{CSRS}/c/approval", body)
    assert approved.code == 200
    assert approved.json["status"]["conditions"][0]["lastUpdateTime"]
    taken = await api("PUT", f"{CSRS}/c/approval", {**approved.json, "status": {}})
    assert (taken.code, "may not remove a condition" in taken.json["message"]) == (422, True)


async def test_an_approval_may_annotate_but_neither_respecify_nor_certify(api: Api) -> None:
    await api("POST", CSRS, signing("c", "example.com/s"))
    condition = {"type": "Looked", "status": "True", "reason": "r", "message": "m"}
    change = {
        "metadata": {"annotations": {"by": "me"}},
        "spec": {"signerName": "example.com/other"},
        "status": {"conditions": [condition], "certificate": "eA=="},
    }
    patched = await api("PATCH", f"{CSRS}/c/approval", change, content_type=MERGE)
    assert patched.json["metadata"]["annotations"] == {"by": "me"}
    assert patched.json["spec"]["signerName"] == "example.com/s"
    assert [c["type"] for c in patched.json["status"]["conditions"]] == ["Looked"]
    assert "certificate" not in patched.json["status"]


async def test_conditions_of_a_signer_are_dated(api: Api) -> None:
    await api("POST", CSRS, signing("c", "example.com/s"))
    failed = {"type": "Failed", "status": "True", "reason": "r", "lastTransitionTime": "2020-01-01T00:00:00Z"}
    change: dict[str, Any] = {"status": {"conditions": [failed]}}
    first = await api("PATCH", f"{CSRS}/c/status", change, content_type=MERGE)
    assert first.json["status"]["conditions"][0]["lastUpdateTime"] > "2020-01-01T00:00:00Z"
    change["status"]["conditions"] = [{"type": "Failed", "status": "True", "reason": "other"}]
    again = await api("PATCH", f"{CSRS}/c/status", change, content_type=MERGE)
    (condition,) = again.json["status"]["conditions"]
    assert (condition["reason"], condition["lastTransitionTime"]) == ("other", "2020-01-01T00:00:00Z")
    nothing: dict[str, Any] = {"status": {"conditions": []}}
    assert (await api("POST", CSRS, signing("d", "example.com/s"))).code == 201
    patched = await api("PATCH", f"{CSRS}/d/approval", nothing, content_type=MERGE)
    assert (patched.code, "conditions" in patched.json["status"]) == (200, False)


async def test_an_evicted_pod_says_why_it_ends(api: Api) -> None:
    await api("POST", PODS, pod("a", terminationGracePeriodSeconds=30))
    bound = {"target": {"kind": "Node", "name": "n"}, "metadata": {"name": "a"}}
    await api("POST", f"{PODS}/a/binding", bound)
    live = (await api("GET", f"{PODS}/a")).json
    eviction: dict[str, Any] = {"metadata": {"name": "a"}}
    dry = await api("POST", f"{PODS}/a/eviction?dryRun=All", eviction)
    assert (dry.code, (await api("GET", f"{PODS}/a")).json) == (201, live)
    wrong = {**eviction, "deleteOptions": {"preconditions": {"uid": "other"}}}
    assert (await api("POST", f"{PODS}/a/eviction", wrong)).code == 409
    version = live["metadata"]["resourceVersion"]
    exact = {**eviction, "deleteOptions": {"preconditions": {"resourceVersion": version}}}
    assert (await api("POST", f"{PODS}/a/eviction", exact)).code == 201
    found = (await api("GET", f"{PODS}/a")).json
    assert found["metadata"]["deletionTimestamp"]
    (target,) = [c for c in found["status"]["conditions"] if c["type"] == "DisruptionTarget"]
    assert (target["status"], target["reason"]) == ("True", "EvictionByEvictionAPI")


async def test_evictions_spend_the_budget(api: Api) -> None:
    budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}}
    await api("POST", budgets, {"metadata": {"name": "b"}, "spec": spec})
    await api("POST", PODS, pod("a"))
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    await api("PATCH", f"{PODS}/a/status", {"status": ready}, content_type=MERGE)
    eviction = {"metadata": {"name": "a"}}
    early = await api("POST", f"{PODS}/a/eviction", eviction)
    assert (early.code, early.json["details"]["retryAfterSeconds"]) == (429, 10)

    async def allow(count: int) -> None:
        status = {
            "observedGeneration": 1,
            "disruptionsAllowed": count,
            "currentHealthy": 1,
            "desiredHealthy": 1,
            "expectedPods": 1,
        }
        reply = await api("PATCH", f"{budgets}/b/status", {"status": status}, content_type=MERGE)
        assert reply.code == 200

    await allow(0)
    full = await api("POST", f"{PODS}/a/eviction", eviction)
    assert full.json["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert full.json["details"]["causes"][0]["message"] == (
        "The disruption budget b needs 1 healthy pods and has 1 currently"
    )
    await allow(1)
    assert (await api("POST", f"{PODS}/a/eviction", eviction)).code == 201
    status = (await api("GET", f"{budgets}/b")).json["status"]
    assert (status["disruptionsAllowed"], list(status["disruptedPods"])) == (0, ["a"])
    assert (await api("GET", f"{PODS}/a")).code == 404


async def test_autoscalers_are_one_object_in_two_versions(api: Api) -> None:
    old = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
    new = old.replace("/v1/", "/v2/")
    target = {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}
    spec = {"maxReplicas": 3, "targetCPUUtilizationPercentage": 50, "scaleTargetRef": target}
    made = await api("POST", old, {"metadata": {"name": "h"}, "spec": spec})
    assert (made.code, made.json["apiVersion"], made.json["spec"]["minReplicas"]) == (
        201,
        "autoscaling/v1",
        1,
    )
    found = (await api("GET", f"{new}/h")).json
    assert found["apiVersion"] == "autoscaling/v2"
    assert found["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 50
    patched = await api(
        "PATCH", f"{old}/h", {"spec": {"targetCPUUtilizationPercentage": 70}}, content_type=MERGE
    )
    assert patched.json["spec"]["targetCPUUtilizationPercentage"] == 70
    assert (await api("GET", f"{new}/h")).json["spec"]["metrics"][0]["resource"]["target"] == {
        "type": "Utilization",
        "averageUtilization": 70,
    }


async def test_pods_are_resized_within_their_class(api: Api) -> None:
    await api("POST", PODS, sized("a", requests={"cpu": "100m"}))
    change = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "200m"}}}]}}
    strategic = "application/strategic-merge-patch+json"
    reply = await api("PATCH", f"{PODS}/a/resize", change, content_type=strategic)
    assert reply.code == 200
    assert reply.json["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "200m"}
    assert reply.json["metadata"]["generation"] == 2
    every = {"cpu": "200m", "memory": "1Mi"}
    change["spec"]["containers"][0]["resources"] = {"requests": every, "limits": every}
    refused = await api("PATCH", f"{PODS}/a/resize", change, content_type=strategic)
    assert "Pod QOS Class may not change" in refused.json["message"]


async def test_a_resize_keeps_the_containers_and_what_they_ask_for(api: Api) -> None:
    two = sized("a", requests={"cpu": "100m", "memory": "1Mi"})
    two["spec"]["containers"].append({**two["spec"]["containers"][0], "name": "d"})
    await api("POST", PODS, two)
    found = (await api("GET", f"{PODS}/a")).json
    first, second = found["spec"]["containers"]

    async def refusal(*containers: dict[str, Any]) -> str:
        body = {**found, "spec": {**found["spec"], "containers": list(containers)}}
        reply = await api("PUT", f"{PODS}/a/resize", body)
        assert reply.code == 422
        return str(reply.json["message"]).partition(" is invalid: ")[2]

    detail = "Forbidden: containers may not be renamed or reordered on resize"
    assert await refusal(second, first) == (
        f"[spec.containers[0].name: {detail}, spec.containers[1].name: {detail}]"
    )
    assert await refusal(first) == (
        "spec.containers: Forbidden: containers may not be added or removed on resize"
    )
    less = {**second, "resources": {"requests": {"memory": "1Mi"}}}
    assert await refusal(first, less) == (
        "spec.containers[1].resources.requests: Forbidden: resource requests cannot be removed"
    )
    bare = {key: value for key, value in second.items() if key != "resources"}
    assert "resource requests cannot be removed" in await refusal(first, bare)


async def test_resources_of_a_pod_itself_are_resized_but_not_removed(api: Api) -> None:
    whole = sized("a", requests={"cpu": "100m"})
    whole["spec"]["resources"] = {"limits": {"cpu": "1"}}
    await api("POST", PODS, whole)
    strategic = "application/strategic-merge-patch+json"
    same = {"spec": {"resources": {"limits": {"cpu": "1000m"}}}}
    assert (await api("PATCH", f"{PODS}/a/resize", same, content_type=strategic)).code == 200
    more = {"spec": {"resources": {"limits": {"cpu": "2"}}}}
    resized = await api("PATCH", f"{PODS}/a/resize", more, content_type=strategic)
    assert (resized.code, resized.json["spec"]["resources"]["limits"]) == (200, {"cpu": "2"})
    none = {"spec": {"resources": {"limits": {"cpu": None}}}}
    refused = await api("PATCH", f"{PODS}/a/resize", none, content_type=strategic)
    assert refused.code == 422
    detail = "spec.resources.limits: Forbidden: pod-level resource limits cannot be removed"
    assert detail in refused.json["message"]


async def test_component_statuses_name_the_store(api: Api) -> None:
    items = (await api("GET", "/api/v1/componentstatuses")).json["items"]
    assert [(i["metadata"]["name"], i["conditions"][0]["status"]) for i in items] == [("etcd-0", "True")]
    assert (await api("GET", "/api/v1/componentstatuses/x")).code == 404
