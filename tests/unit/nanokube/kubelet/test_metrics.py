"""What the kubelet counts of Pods and containers."""

from typing import Any

import pytest
from prometheus_client import REGISTRY

from nanokube.kubelet import metrics


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def status(sort: str, name: str, **state: Any) -> dict[str, Any]:
    return {sort: [{"name": name, "state": state}]}


RUNNING = status("containerStatuses", "app", running={})
ENDED = status("containerStatuses", "app", terminated={"exitCode": 139, "reason": "Error"})
INIT_ENDED = status("initContainerStatuses", "app", terminated={"exitCode": 139, "reason": "Error"})


@pytest.mark.parametrize(
    ("old", "new", "sort", "counted"),
    [
        (RUNNING, ENDED, "container", 1),
        ({}, ENDED, "container", 1),
        (ENDED, ENDED, "container", 0),
        (ENDED, RUNNING, "container", 0),
        ({}, INIT_ENDED, "init_container", 1),
        ({}, INIT_ENDED, "container", 0),
    ],
)
def test_an_end_is_counted_once(old: Any, new: Any, sort: str, counted: int) -> None:
    labels = {"container_type": sort, "exit_code": "139", "reason": "Error"}
    before = value("kubelet_terminated_containers_total", **labels)
    metrics.count_ends(old, new)
    assert value("kubelet_terminated_containers_total", **labels) - before == counted


@pytest.mark.parametrize(("spec", "counted"), [({"hostUsers": False}, 1), ({}, 0)])
def test_pods_with_users_of_their_own_are_counted_apart(spec: Any, counted: int) -> None:
    pod = {"spec": {"initContainers": [{"name": "first"}], **spec}}
    names = [
        "kubelet_started_user_namespaced_pods_total",
        "kubelet_started_user_namespaced_pods_errors_total",
    ]
    before = [value(name) for name in names]
    metrics.count_pod(pod)
    metrics.count_container(pod, "first")
    metrics.count_container_fault(pod, "first", "CreateContainerError")
    assert [value(name) - old for name, old in zip(names, before, strict=True)] == [counted, counted]
    assert value("kubelet_started_containers_total", container_type="init_container") >= 1
