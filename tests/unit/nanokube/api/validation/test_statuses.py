"""What /status may not say."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.api import resources, strategy
from nanokube.api.validation import whole

GREATER = "cannot be greater than"


def refusals(name: str, status: dict[str, Any], before: dict[str, Any], **more: Any) -> list[str]:
    base = {"metadata": {"name": "x", "namespace": "d"}, **more}
    if not resources.get(name).namespaced:
        del base["metadata"]["namespace"]
    new, old = {**base, "status": status}, {**base, "status": before}
    return [str(e) for e in whole.validate_status_update(resources.get(name), new, old)]


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        ("deployments.apps", {"replicas": 2, "readyReplicas": 2, "availableReplicas": 1}, []),
        ("deployments.apps", {"observedGeneration": -1},
         ["status.observedGeneration: Invalid value: -1: must be greater than or equal to 0"]),
        ("deployments.apps", {"replicas": 1, "availableReplicas": 2},
         [f"status.availableReplicas: Invalid value: 2: {GREATER} status.replicas",
          f"status.availableReplicas: Invalid value: 2: {GREATER} readyReplicas"]),
        ("replicasets.apps", {"replicas": 1, "fullyLabeledReplicas": 2},
         [f"status.fullyLabeledReplicas: Invalid value: 2: {GREATER} status.replicas"]),
        ("statefulsets.apps", {"replicas": 3, "availableReplicas": 3},
         [f"status.availableReplicas: Invalid value: 3: {GREATER} status.readyReplicas"]),
        ("daemonsets.apps", {"numberReady": -2},
         ["status.numberReady: Invalid value: -2: must be greater than or equal to 0"]),
        ("poddisruptionbudgets.policy", {"currentHealthy": -1},
         ["status.currentHealthy: Invalid value: -1: must be greater than or equal to 0"]),
        ("resourcequotas", {"used": {"pods": "-1"}},
         ["status.used[pods]: Invalid value: \"-1\": must be greater than or equal to 0"]),
        ("persistentvolumeclaims", {"capacity": {"storage": "-1"}},
         ["status.capacity[storage]: Invalid value: -1: must be a valid resource quantity"]),
        ("namespaces", {"phase": "Odd"},
         ["status.Phase: Invalid value: \"Odd\": may only be 'Active' if `deletionTimestamp` is empty"]),
    ],
)  # fmt: skip
def test_counts_agree(name: str, status: dict[str, Any], expected: list[str]) -> None:
    assert refusals(name, status, {}) == expected


def test_collisions_only_grow() -> None:
    found = refusals("statefulsets.apps", {"collisionCount": 1}, {"collisionCount": 2})
    assert found == ["status.collisionCount: Invalid value: 1: cannot be decremented"]


@pytest.mark.parametrize(
    ("ingress", "expected"),
    [
        ({"ip": "1.2.3.4", "ipMode": "VIP"}, []),
        ({"ip": "010.2.3.4", "ipMode": "VIP"}, []),  # it was there
        ({"ip": "x", "ipMode": "VIP"}, ["ip: Invalid value"]),
        ({"ip": "1.2.3.4"}, ["ipMode: Required value"]),
        ({"ipMode": "VIP"}, ["ipMode: Forbidden"]),
        ({"ip": "1.2.3.4", "ipMode": "Odd"}, ["ipMode: Unsupported value"]),
        ({"hostname": "1.2.3.4"}, ["hostname: Invalid value"]),
    ],
)
def test_addresses_of_load_balancers(ingress: dict[str, Any], expected: list[str]) -> None:
    before = {"loadBalancer": {"ingress": [{"ip": "010.2.3.4", "ipMode": "VIP"}]}}
    status = {"loadBalancer": {"ingress": [ingress]}}
    found = refusals("services", status, before, spec={"type": "LoadBalancer"})
    path = "status.loadBalancer.ingress[0]."
    assert [text.removeprefix(path)[: len(e)] for text, e in zip(found, expected, strict=True)] == expected
    others = refusals("services", status, {}, spec={"type": "ClusterIP"})
    detail = "may only be used when `spec.type` is 'LoadBalancer'"
    assert others == [f"status.loadBalancer.ingress: Forbidden: {detail}"]


def test_a_bound_pod_is_not_nominated_and_keeps_its_class() -> None:
    before = {"qosClass": "Burstable"}
    found = refusals("pods", {**before, "nominatedNodeName": "n"}, before, spec={"nodeName": "m"})
    detail = "may not be set on pods that are already bound to a node"
    assert found == [f"status.nominatedNodeName: Forbidden: {detail}"]
    found = refusals("pods", {"qosClass": "Guaranteed"}, before)
    assert found == ['status.qosClass: Invalid value: "Guaranteed": field is immutable']


def test_metadata_that_comes_with_a_status_is_judged() -> None:
    resource = resources.get("ingresses.networking.k8s.io")
    old: dict[str, Any] = {"metadata": {"name": "x", "namespace": "d"}}
    new = {"metadata": {**old["metadata"], "labels": {"k": "v!"}, "finalizers": ["bad"]}}
    found = [str(e).partition(": ")[0] for e in whole.validate_status_update(resource, new, old)]
    assert found == ["metadata.labels", "metadata.finalizers[0]"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("jobs.batch", ()),
        ("deployments.apps", ("labels",)),
        ("pods", ("ownerReferences",)),
        ("servicecidrs.networking.k8s.io", ("labels", "annotations", "finalizers", "ownerReferences")),
    ],
)
def test_what_a_status_update_changes_of_the_metadata(name: str, kept: tuple[str, ...]) -> None:
    keys = ("labels", "annotations", "finalizers", "ownerReferences")
    old: dict[str, Any] = {"metadata": {"name": "x"}, "status": {}}
    new: dict[str, Any] = {"metadata": {"name": "x", **{key: ["new"] for key in keys}}, "status": {}}
    strategy.prepare_for_status_update(resources.get(name), new, old)
    assert [key for key in keys if key not in new["metadata"]] == list(kept)


def test_who_sets_a_deletion_is_refused() -> None:
    resource = resources.get("configmaps")
    old: dict[str, Any] = {"metadata": {"name": "x", "namespace": "d"}}
    for key, value in (("deletionTimestamp", "2026-01-01T00:00:00Z"), ("deletionGracePeriodSeconds", 5)):
        new: dict[str, Any] = {"metadata": {**old["metadata"], key: value}}
        strategy.prepare_for_update(resource, new, old)
        found = [str(e) for e in whole.validate_update(resource, new, old)]
        assert [text.rpartition(": ")[2] for text in found] == ["field is immutable"]
        kept: dict[str, Any] = {"metadata": {**old["metadata"]}}
        strategy.prepare_for_update(resource, kept, new)
        assert kept["metadata"][key] == value


BAD_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
STEPS = '"ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfe'


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        ("pods", {"podIPs": [{"ip": "1.2.3.4"}, {"ip": "::1"}]}, []),
        ("pods", {"podIPs": [{"ip": "kept"}]}, []),
        ("pods", {"podIPs": [{"ip": "x"}]}, [f'status.podIPs[0]: Invalid value: "x": {BAD_IP}']),
        (
            "pods",
            {"podIPs": [{"ip": "1.2.3.4"}, {"ip": "1.2.3.5"}]},
            ['status.podIPs: Invalid value: [{"IP":"1.2.3.4"},{"IP":"1.2.3.5"}]: may specify no more than'],
        ),
        (
            "pods",
            {"hostIP": "1.2.3.4", "hostIPs": [{"ip": "1.2.3.5"}]},
            ['status.hostIPs[0].ip: Invalid value: "1.2.3.5": must be equal to `hostIP`'],
        ),
        ("nodes", {"capacity": {"cpu": "1500m", "a.b/c": "2", "pods": "110"}}, []),
        (
            "nodes",
            {"allocatable": {"a.b/c": "1500m"}},
            ['status.allocatable.a.b/c: Invalid value: "1500m": must be an integer'],
        ),
        (
            "nodes",
            {"addresses": [{"type": "InternalIP", "address": "1.2.3.4"}] * 2},
            ['status.addresses[1]: Duplicate value: {"Type":"InternalIP","Address":"1.2.3.4"}'],
        ),
        ("persistentvolumeclaims", {"allocatedResourceStatuses": {"storage": "NodeResizePending"}}, []),
        (
            "persistentvolumeclaims",
            {"allocatedResourceStatuses": {"a": "x"}},
            [
                'status.allocatedResourceStatuses: Unsupported value: "a": supported values: "storage"',
                f'status.allocatedResourceStatuses: Unsupported value: "a": supported values: {STEPS}',
            ],
        ),
        (
            "persistentvolumeclaims",
            {"allocatedResources": {"storage": "-1Gi"}},
            ["status.allocatedResources[storage]: Invalid value: -1073741824: must be a valid resource quan"],
        ),
    ],
)
def test_what_kubelets_and_resizers_write(name: str, status: dict[str, Any], expected: list[str]) -> None:
    found = refusals(name, status, {"podIPs": [{"ip": "kept"}]} if name == "pods" else {})
    assert [text[: len(want)] for text, want in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("name", "count"),
    [("poddisruptionbudgets.policy", 0), ("cronjobs.batch", 0), ("jobs.batch", 1), ("deployments.apps", 1)],
)
def test_finalizers_are_named_well_where_upstream_looks(name: str, count: int) -> None:
    old = {"metadata": {"name": "x", "namespace": "d"}, "status": {}}
    new = {"metadata": {**old["metadata"], "finalizers": ["bad"]}, "status": {}}
    found = [str(e) for e in whole.validate_status_update(resources.get(name), new, old)]
    assert len(found) == count, found
