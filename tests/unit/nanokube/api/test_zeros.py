"""Rules of zero values: what Go leaves out, what it writes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from nanokube.api import defaults, facts, patch, resources, schema, strategy, walk, zeros


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"hostNetwork": False, "nodeName": "", "tolerations": [], "nodeSelector": {}}, {}),
        ({"enableServiceLinks": False, "terminationGracePeriodSeconds": 0}, None),  # pointers
        ({"securityContext": {}, "containers": []}, None),
        ({"containers": [{"name": "", "image": "", "env": [{"name": "A", "value": ""}], "tty": False}]},
         {"containers": [{"name": "", "env": [{"name": "A"}]}]}),
        ({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "secret": {"secretName": ""}}]},
         {"volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "secret": {}}]}),
        ({"nodeName": None, "priority": None, "tolerations": None}, {}),
    ],
)  # fmt: skip
def test_zeros_are_dropped_where_go_omits_them(
    given: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    pods = schema.get("", "v1", "Pod")
    assert pods is not None
    tree = {"spec": given}
    wanted = {"spec": given if expected is None else expected}
    assert pods.decode(orjson.dumps(tree))[0] == wanted
    assert pods.clean(tree)[0] == wanted
    assert walk.prune(pods.definition, tree)[0] == wanted


def test_values_of_maps_are_kept() -> None:
    maps = schema.get("", "v1", "ConfigMap")
    assert maps is not None
    assert maps.decode(b'{"data":{"a":""}}')[0] == {"data": {"a": ""}}


def test_structs_by_value_are_written() -> None:
    obj: dict[str, Any] = {"spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}}
    zeros.fill("io.k8s.api.apps.v1.Deployment", obj)
    template = {"metadata": {}, "spec": {"containers": [{"name": "a", "resources": {}}]}}
    assert obj == {"metadata": {}, "spec": {"strategy": {}, "template": template}, "status": {}}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("daemonsets.apps", dict.fromkeys(("currentNumberScheduled", "desiredNumberScheduled",
                                      "numberMisscheduled", "numberReady"), 0)),
        ("statefulsets.apps", {"replicas": 0, "availableReplicas": 0}),
        ("replicasets.apps", {"replicas": 0}),
        ("replicationcontrollers", {"replicas": 0}),
        ("deployments.apps", {}),
        ("poddisruptionbudgets.policy", dict.fromkeys(("currentHealthy", "desiredHealthy",
                                                       "disruptionsAllowed", "expectedPods"), 0)),
        ("volumeattachments.storage.k8s.io", {"attached": False}),
    ],
)  # fmt: skip
def test_a_new_status_counts_from_zero(kind: str, expected: dict[str, Any]) -> None:
    resource = resources.get(kind)
    obj: dict[str, Any] = {"metadata": {"name": "a"}, "spec": {}}
    strategy.prepare_for_create(resource, obj, namespace="", uid="u", now="2026-01-01T00:00:00Z")
    assert obj["status"] == expected


@pytest.mark.parametrize("resource", [r for r in resources.ALL if r.is_stored], ids=lambda r: r.name)
def test_every_kind_can_be_filled(resource: resources.Resource) -> None:
    obj: dict[str, Any] = {}
    name = facts.name_of(resource.group, resource.version, resource.kind)
    assert name is not None
    zeros.fill(name, obj)
    assert obj["metadata"] == {}
    again = {**obj}
    zeros.fill(name, again)
    assert again == obj


def test_default_replaces_an_empty_string() -> None:
    pods = schema.get("", "v1", "Pod")
    assert pods is not None
    obj, _ = pods.decode(b'{"spec":{"restartPolicy":"","containers":[{"name":"a","imagePullPolicy":""}]}}')
    defaults.apply(resources.get("pods"), obj)
    assert obj["spec"]["restartPolicy"] == "Always"
    assert obj["spec"]["containers"][0]["imagePullPolicy"] == "Always"


NOW = "2026-01-02T03:04:05Z"


def filled(name: str, obj: dict[str, Any]) -> dict[str, Any]:
    defaults.apply(resources.get(name), obj)
    return obj


@pytest.mark.parametrize("given", [{}, {"rules": None}, {"rules": []}])
def test_a_list_that_nobody_set_is_null(given: dict[str, Any]) -> None:
    assert filled("roles.rbac.authorization.k8s.io", {"metadata": {}, **given})["rules"] is None


def test_an_empty_list_stays_where_json_is_stored() -> None:
    found = filled(
        "customresourcedefinitions.apiextensions.k8s.io",
        {"metadata": {}, "spec": {"versions": []}, "status": {"conditions": []}},
    )
    assert found["status"]["conditions"] == []


def test_a_time_that_nobody_set_is_null() -> None:
    found = filled("nodes", {"metadata": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": None, "lastTransitionTime": None}
    assert found["status"]["conditions"] == [condition]
    assert found["status"]["nodeInfo"]["architecture"] == ""
    assert found["status"]["daemonEndpoints"]["kubeletEndpoint"] == {"Port": 0}


def test_who_creates_an_object_owns_no_null_but_one_in_an_item_of_his() -> None:
    node = facts.definition("io.k8s.api.core.v1.Node")
    role = facts.definition("io.k8s.api.rbac.v1.Role")
    made: dict[str, Any] = {"metadata": {"labels": {"a": "b"}}, "rules": None}
    patch.track_update(role, None, made, manager="m", api_version="v1", now=NOW)
    labels: dict[str, Any] = {"f:metadata": {"f:labels": {".": {}, "f:a": {}}}}
    assert made["metadata"]["managedFields"][0]["fieldsV1"] == labels
    condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": None}
    new: dict[str, Any] = {**made, "status": {"conditions": [condition]}}
    new["metadata"] = {**made["metadata"]}
    patch.track_update(node, made, new, manager="n", api_version="v1", now=NOW, subresource="status")
    mine: dict[str, Any] = {".": {}, "f:lastHeartbeatTime": {}, "f:status": {}, "f:type": {}}
    key = 'k:{"type":"Ready"}'
    owned = new["metadata"]["managedFields"][-1]["fieldsV1"]["f:status"]["f:conditions"]
    assert owned[key] == mine


def test_a_count_that_is_always_there_is_not_owned_as_long_as_it_is_zero() -> None:
    event = facts.definition("io.k8s.api.core.v1.Event")
    made: dict[str, Any] = {"metadata": {}, "reportingComponent": "", "reason": "R"}
    patch.track_update(event, None, made, manager="m", api_version="v1", now=NOW)
    assert made["metadata"]["managedFields"][0]["fieldsV1"] == {"f:reason": {}}


def test_defaults_are_filled_in_beside_null() -> None:
    volume: dict[str, Any] = {"name": "v", "projected": {}}
    obj = {"metadata": {}, "spec": {"containers": [], "volumes": [volume]}}
    assert filled("pods", filled("pods", obj))["spec"]["volumes"] == [
        {"name": "v", "projected": {"sources": None, "defaultMode": 0o644}}
    ]


def test_a_struct_that_is_there_but_empty_has_its_nulls() -> None:
    assert filled("events", {"metadata": {}, "series": {}})["series"] == {"lastObservedTime": None}


def test_texts_of_a_status_that_nobody_set_are_written() -> None:
    status = filled("nodes", {"metadata": {}, "status": {"addresses": [{}], "conditions": [{}]}})["status"]
    assert status["addresses"] == [{"address": "", "type": ""}]
    times = {"lastHeartbeatTime": None, "lastTransitionTime": None}
    assert status["conditions"] == [{"status": "", "type": "", **times}]
