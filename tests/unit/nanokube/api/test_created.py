"""What a real API server makes of new objects beyond what they say: fields set, kept equal and dropped."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.api import defaults, resources, strategy

CONTAINER: dict[str, Any] = {"name": "c", "image": "b"}
CLAIM: dict[str, Any] = {"accessModes": ["ReadWriteOnce"]}
SNAPSHOT: dict[str, Any] = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"}
OTHER: dict[str, Any] = {"apiGroup": "example.com", "kind": "Thing", "name": "t"}
JOB_LABELS = {
    "job-name": "x",
    "controller-uid": "u",
    "batch.kubernetes.io/job-name": "x",
    "batch.kubernetes.io/controller-uid": "u",
}


def created(name: str, obj: dict[str, Any]) -> dict[str, Any]:
    """Return an object as it is when it has been made."""
    made: dict[str, Any] = {"metadata": {"name": "x", **obj.pop("metadata", {})}, **obj}
    resource = resources.get(name)
    defaults.apply(resource, made)
    strategy.prepare_for_create(resource, made, namespace="d", uid="u", now="2026-01-01T00:00:00Z")
    return made


@pytest.mark.parametrize(
    ("said", "source", "ref"),
    [
        ({"dataSource": dict(SNAPSHOT)}, SNAPSHOT, SNAPSHOT),
        ({"dataSourceRef": dict(SNAPSHOT)}, SNAPSHOT, SNAPSHOT),
        ({"dataSourceRef": dict(OTHER)}, OTHER, OTHER),
        ({"dataSource": dict(OTHER)}, None, None),
        ({"dataSourceRef": {**SNAPSHOT, "namespace": "n"}}, None, None),
        ({"dataSource": dict(OTHER), "dataSourceRef": dict(SNAPSHOT)}, OTHER, SNAPSHOT),
        ({}, None, None),
    ],
)
def test_claims_say_twice_where_their_data_comes_from(said: Any, source: Any, ref: Any) -> None:
    spec = created("persistentvolumeclaims", {"spec": {**CLAIM, **said}})["spec"]
    assert (spec.get("dataSource"), spec.get("dataSourceRef")) == (source, ref)


@pytest.mark.parametrize(
    ("labels", "own", "expected"),
    [
        (None, None, JOB_LABELS),
        ({"a": "b"}, None, {"a": "b", **JOB_LABELS}),
        ({"a": "b"}, {"c": "d"}, {"c": "d"}),
    ],
)
def test_jobs_have_the_labels_of_their_pods(labels: Any, own: Any, expected: Any) -> None:
    template = {"metadata": {"labels": labels} if labels else {}, "spec": {"containers": [dict(CONTAINER)]}}
    job = created("jobs.batch", {"metadata": {"labels": own} if own else {}, "spec": {"template": template}})
    assert job["metadata"]["labels"] == expected


def test_fields_behind_gates_are_dropped() -> None:
    sources = [{"clusterTrustBundle": {"name": "a", "path": "b"}}, {"configMap": {"name": "c"}}]
    pod = {
        "containers": [
            {**CONTAINER, "lifecycle": {"stopSignal": "SIGTERM"}},
            {**CONTAINER, "name": "d", "lifecycle": {"stopSignal": "SIGTERM", "preStop": {}}},
        ],
        "volumes": [{"name": "v", "projected": {"sources": sources}}],
        "schedulingGroup": {"podGroupName": "g"},
    }
    spec = created("deployments.apps", {"spec": {"template": {"spec": pod}}})["spec"]["template"]["spec"]
    assert [c.get("lifecycle") for c in spec["containers"]] == [None, {"preStop": {}}]
    assert spec["volumes"][0]["projected"]["sources"] == [{}, {"configMap": {"name": "c"}}]
    assert "schedulingGroup" not in spec


def test_pods_hold_the_huge_pages_of_their_containers() -> None:
    limits = {"hugepages-2Mi": "2Mi", "memory": "1Gi"}
    pod = {"containers": [{**CONTAINER, "resources": {"limits": limits}}]}
    spec = created("pods", {"spec": {**pod, "resources": {"limits": {"memory": "2Gi"}}}})["spec"]
    assert spec["resources"] == {
        "limits": {"memory": "2Gi", "hugepages-2Mi": "2Mi"},
        "requests": {"memory": "1Gi", "hugepages-2Mi": "2Mi"},
    }


def test_references_to_resources_have_a_divisor() -> None:
    ref = {"containerName": "c", "resource": "limits.cpu"}
    volume = {"name": "v", "downwardAPI": {"items": [{"path": "p", "resourceFieldRef": dict(ref)}]}}
    spec = created("pods", {"spec": {"containers": [dict(CONTAINER)], "volumes": [volume]}})["spec"]
    assert spec["volumes"][0]["downwardAPI"]["items"][0]["resourceFieldRef"] == {**ref, "divisor": "0"}


@pytest.mark.parametrize(
    "said",
    [
        {"podCIDR": "10.0.0.0/24"},
        {"podCIDRs": ["10.0.0.0/24"]},
        {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.1.0/24"]},
    ],
)
def test_nodes_say_their_range_twice(said: dict[str, Any]) -> None:
    spec = created("nodes", {"spec": said})["spec"]
    assert (spec["podCIDR"], spec["podCIDRs"]) == ("10.0.0.0/24", ["10.0.0.0/24"])


def test_accounts_keep_the_names_of_their_secrets_only() -> None:
    account = created("serviceaccounts", {"secrets": [{"name": "a", "uid": "x"}, {"kind": "Secret"}]})
    assert account["secrets"] == [{"name": "a"}, {}]


def test_fields_of_the_past_are_dropped() -> None:
    assert created("nodes", {"spec": {"configSource": {}}})["spec"] == {}
    endpoint = {"addresses": ["1.2.3.4"], "deprecatedTopology": {"a": "b"}}
    made = created("endpointslices.discovery.k8s.io", {"endpoints": [endpoint]})
    assert made["endpoints"][0] == {"addresses": ["1.2.3.4"], "conditions": {}}


def test_tolerations_of_devices_compare_by_default() -> None:
    request = {"name": "r", "exactly": {"deviceClassName": "d", "tolerations": [{"key": "k"}]}}
    made = created("resourceclaims.resource.k8s.io", {"spec": {"devices": {"requests": [request]}}})
    tolerations = made["spec"]["devices"]["requests"][0]["exactly"]["tolerations"]
    assert tolerations == [{"key": "k", "operator": "Equal"}]


def test_the_template_generation_of_daemon_sets_is_their_writers() -> None:
    made: dict[str, Any] = {"metadata": {"name": "x"}, "spec": {"template": {}}}
    defaults.apply(resources.get("daemonsets.apps"), made)
    assert made["metadata"]["annotations"] == {"deprecated.daemonset.template.generation": "0"}
