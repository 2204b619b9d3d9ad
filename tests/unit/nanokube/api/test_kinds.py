"""Defaults, strategy and validation of kinds: each rule by the message a user sees."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.api import (
    defaults,
    errors,
    objects,
    qos,
    resources,
    scale,
    schema,
    strategy,
)
from nanokube.api.resources import Resource
from nanokube.api.strategy import pod as pod_strategy
from nanokube.api.validation import whole

PODS, DEPLOYMENTS, SERVICES = (resources.get(n) for n in ("pods", "deployments.apps", "services"))


def new(resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
    found = schema.get(resource.group, resource.version, resource.kind)
    assert found is not None
    obj, _ = found.clean({"metadata": {"name": "x"}, **body})
    defaults.apply(resource, obj)
    strategy.prepare_for_create(resource, obj, namespace="default", uid="u", now="2026-01-01T00:00:00Z")
    return obj


def messages(resource: Resource, body: dict[str, Any]) -> list[str]:
    return [str(e) for e in whole.validate_create(resource, new(resource, body))]


def pod(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "c", "image": "nginx"}], **fields}}


def container(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "c", "image": "nginx", **fields}]}}


def deployment(**fields: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "x"}}, **pod()}
    return {"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template, **fields}}


def test_pod_defaults() -> None:
    found = new(
        PODS,
        container(
            ports=[{"containerPort": 80}],
            livenessProbe={"httpGet": {"port": 80}},
            resources={"limits": {"cpu": "1"}},
        ),
    )
    assert found["status"] == {"phase": "Pending", "qosClass": "Burstable"}
    assert found["metadata"] == {
        "name": "x",
        "namespace": "default",
        "uid": "u",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 1,
    }
    spec, first = found["spec"], found["spec"]["containers"][0]
    assert {k: v for k, v in spec.items() if k != "containers"} == {
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
        "enableServiceLinks": True,
    }
    assert first["resources"] == {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}
    assert first["imagePullPolicy"] == "Always"
    assert first["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert first["livenessProbe"]["failureThreshold"] == 3


def test_a_pods_negative_grace_is_a_second() -> None:
    body = {"spec": {**pod()["spec"], "terminationGracePeriodSeconds": -1}}
    assert new(PODS, body)["spec"]["terminationGracePeriodSeconds"] == 1


def test_defaults_are_idempotent() -> None:
    for resource, body in (
        (PODS, pod(volumes=[{"name": "v"}])),
        (DEPLOYMENTS, deployment()),
        (SERVICES, {"spec": {"ports": [{"port": 80}]}}),
    ):
        once = new(resource, body)
        twice = objects.copy(once)
        defaults.apply(resource, twice)
        assert once == twice


def test_service_defaults_and_secrets() -> None:
    spec = new(SERVICES, {"spec": {"type": "NodePort", "ports": [{"port": 80}]}})["spec"]
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert (spec["externalTrafficPolicy"], spec["internalTrafficPolicy"], spec["sessionAffinity"]) == (
        "Cluster",
        "Cluster",
        "None",
    )
    secret = new(resources.get("secrets"), {"stringData": {"k": "v"}})
    assert (secret["type"], secret["data"]) == ("Opaque", {"k": "dg=="})
    assert "stringData" not in secret


@pytest.mark.parametrize(
    ("limits", "requests", "expected"),
    [
        ({"cpu": "1", "memory": "1Gi"}, {}, "Guaranteed"),
        ({"cpu": "1"}, {}, "Burstable"),
        ({}, {"memory": "1"}, "Burstable"),
        ({}, {}, "BestEffort"),
    ],
)
def test_quality_of_service(limits: dict[str, str], requests: dict[str, str], expected: str) -> None:
    assert qos.of(new(PODS, container(resources={"limits": limits, "requests": requests}))) == expected


def test_the_resources_of_a_pod_count_alone_even_if_there_are_none() -> None:
    pod = container(resources={"requests": {"cpu": "1"}})
    assert qos.of({"spec": {**pod["spec"], "resources": {}}}) == "BestEffort"


def test_sound_objects_pass() -> None:
    for resource, body in (
        (PODS, pod()),
        (DEPLOYMENTS, deployment()),
        (SERVICES, {"spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}}),
        (resources.get("configmaps"), {"data": {"a.conf": "x"}}),
        (resources.get("namespaces"), {}),
        (resources.get("leases.coordination.k8s.io"), {"spec": {"leaseDurationSeconds": 15}}),
        (
            resources.get("endpointslices.discovery.k8s.io"),
            {"addressType": "IPv4", "endpoints": [{"addresses": ["10.244.0.2"]}], "ports": [{"port": 80}]},
        ),
    ):
        assert messages(resource, body) == [], resource.name


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"spec": {}}, "spec.containers: Required value"),
        (container(image=""), "spec.containers[0].image: Required value"),
        (
            container(ports=[{"containerPort": 0}]),
            "spec.containers[0].ports[0].containerPort: Required value",
        ),
        (
            container(ports=[{"containerPort": 70000}]),
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535",
        ),
        (
            container(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
            'spec.containers[0].volumeMounts[0].name: Not found: "v"',
        ),
        (
            container(livenessProbe={}),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
        ),
        (
            container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}),
            'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to',
        ),
        (
            container(imagePullPolicy="Sometimes"),
            'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": '
            'supported values: "Always", "IfNotPresent", "Never"',
        ),
        (
            pod(restartPolicy="Maybe"),
            'spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Ne',
        ),
        (
            pod(volumes=[{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]),
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        ),
        (
            pod(tolerations=[{"value": "x"}]),
            'spec.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, '
            'which means "match all values and all keys"',
        ),
        (pod(hostname="A"), 'spec.hostname: Invalid value: "A": a lowercase RFC 1123 label'),
        (
            {"metadata": {"name": "x", "labels": {"a b": "c"}}, **pod()},
            'metadata.labels: Invalid value: "a b": name part must consist of',
        ),
        (
            {"metadata": {"name": "X"}, **pod()},
            'metadata.name: Invalid value: "X": a lowercase RFC 1123 subdomain',
        ),
        ({"metadata": {}, **pod()}, "metadata.name: Required value: name or generateName is required"),
    ],
)
def test_broken_pods(body: dict[str, Any], message: str) -> None:
    found = messages(PODS, body)
    assert any(m.startswith(message) for m in found), found


@pytest.mark.parametrize(
    ("resource", "body", "message"),
    [
        (
            DEPLOYMENTS,
            deployment(replicas=-1),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            DEPLOYMENTS,
            deployment(selector={"matchLabels": {"app": "y"}}),
            'spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does not match template',
        ),
        (
            DEPLOYMENTS,
            deployment(strategy={"type": "Recreate", "rollingUpdate": {}}),
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (SERVICES, {"spec": {}}, "spec.ports: Required value"),
        (SERVICES, {"spec": {"ports": [{"port": 80}, {"port": 81}]}}, "spec.ports[0].name: Required value"),
        (
            resources.get("configmaps"),
            {"data": {"a/b": ""}},
            'data[a/b]: Invalid value: "a/b": a valid config key',
        ),
        (resources.get("secrets"), {"type": "kubernetes.io/tls"}, "data[tls.crt]: Required value"),
        (
            resources.get("endpoints"),
            {"subsets": [{"addresses": [{"ip": "127.0.0.1"}]}]},
            "subsets[0].addresses[0].ip: Invalid value",
        ),
    ],
)
def test_broken_objects(resource: Resource, body: dict[str, Any], message: str) -> None:
    found = messages(resource, body)
    assert any(m.startswith(message) for m in found), found


def test_updates_count_generations_and_keep_the_status() -> None:
    old = new(DEPLOYMENTS, deployment())
    old["status"] = {"replicas": 1}
    changed = objects.copy(old)
    changed["spec"]["replicas"] = 3
    changed["status"] = {"replicas": 9}
    strategy.prepare_for_update(DEPLOYMENTS, changed, old)
    assert (changed["metadata"]["generation"], changed["status"]) == (2, {"replicas": 1})
    assert whole.validate_update(DEPLOYMENTS, changed, old) == []
    strategy.prepare_for_status_update(DEPLOYMENTS, changed, old)
    assert (changed["metadata"]["generation"], changed["spec"]) == (1, old["spec"])
    changed["spec"] = {**old["spec"], "selector": {"matchLabels": {"app": "y"}}}
    found = [str(e) for e in whole.validate_update(DEPLOYMENTS, changed, old)]
    assert any(
        m.startswith("spec.selector: Invalid value") and m.endswith("field is immutable") for m in found
    )


def test_status_of_a_pod_keeps_what_generation_was_seen() -> None:
    old = new(PODS, pod())
    ready = {"type": "Ready", "status": "False", "observedGeneration": 2}
    old["status"] |= {"observedGeneration": 3, "conditions": [ready]}
    changed = objects.copy(old)
    mine = {"type": "Mine", "status": "True"}
    changed["status"] = {"phase": "Running", "conditions": [mine, {"type": "Ready", "status": "True"}]}
    strategy.prepare_for_status_update(PODS, changed, old)
    assert changed["status"]["observedGeneration"] == 3
    assert changed["status"]["conditions"] == [mine, {**ready, "status": "True"}]
    changed["status"] |= {"observedGeneration": 4, "conditions": [{**ready, "observedGeneration": 4}]}
    strategy.prepare_for_status_update(PODS, changed, old)
    assert changed["status"]["observedGeneration"] == 4
    assert changed["status"]["conditions"][0]["observedGeneration"] == 4


def test_a_pod_changes_its_image_only() -> None:
    old = new(PODS, pod())
    changed = objects.copy(old)
    changed["spec"]["containers"][0]["image"] = "other"
    assert whole.validate_update(PODS, changed, old) == []
    changed["spec"]["hostname"] = "h"
    assert [e.path for e in whole.validate_update(PODS, changed, old)] == ["spec"]


def test_immutable_config_map() -> None:
    maps = resources.get("configmaps")
    old = new(maps, {"data": {"a": "1"}, "immutable": True})
    changed = {**old, "data": {"a": "2"}}
    found = [str(e) for e in whole.validate_update(maps, changed, old)]
    assert found == ["data: Forbidden: field is immutable when `immutable` is set"]


def test_binding() -> None:
    target = new(PODS, pod())
    pod_strategy.bind(target, {"target": {"kind": "Node", "name": "n"}}, now="t")
    assert target["spec"]["nodeName"] == "n"
    assert objects.is_condition_true(target, "PodScheduled")
    with pytest.raises(errors.ApiError, match="already assigned"):
        pod_strategy.bind(target, {"target": {"name": "m"}}, now="t")


def test_grace_periods() -> None:
    target = new(PODS, pod())
    assert strategy.deletion_grace(PODS, target, None) == 0
    target["spec"]["nodeName"] = "n"
    assert strategy.deletion_grace(PODS, target, None) == 30
    assert strategy.deletion_grace(PODS, target, 5) == 5
    strategy.begin_deletion(target, deletion_timestamp="t", grace_period_s=5)
    assert (target["metadata"]["deletionGracePeriodSeconds"], target["metadata"]["generation"]) == (5, 2)


def test_scale_round_trip() -> None:
    obj = new(DEPLOYMENTS, deployment(replicas=2))
    found = scale.from_object(obj)
    assert (found["spec"], found["status"]) == ({"replicas": 2}, {"replicas": 0, "selector": "app=x"})
    found["spec"]["replicas"] = 5
    assert scale.apply(obj, found)["spec"]["replicas"] == 5
    assert obj["spec"]["replicas"] == 2


def test_services_keep_what_was_allocated() -> None:
    old = new(SERVICES, {"spec": {"type": "NodePort", "ports": [{"port": 80}]}})
    old["spec"] |= {"clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"]}
    old["spec"]["ports"][0]["nodePort"] = 30000
    changed = new(SERVICES, {"spec": {"type": "NodePort", "ports": [{"port": 80, "targetPort": 8080}]}})
    strategy.prepare_for_update(SERVICES, changed, old)
    assert changed["spec"]["clusterIPs"] == ["10.96.0.5"]
    assert changed["spec"]["ports"][0]["nodePort"] == 30000
    assert whole.validate_update(SERVICES, changed, old) == []
    changed["spec"] |= {"clusterIP": "10.96.0.6", "clusterIPs": ["10.96.0.6"]}
    assert whole.validate_update(SERVICES, changed, old) != []


def test_an_old_error_does_not_block_an_unrelated_update() -> None:
    old = new(DEPLOYMENTS, deployment(replicas=-1))
    changed = {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}
    assert whole.validate_update(DEPLOYMENTS, changed, old) == []
    changed["spec"] = {**old["spec"], "replicas": -2}
    assert [e.path for e in whole.validate_update(DEPLOYMENTS, changed, old)] == ["spec.replicas"]
