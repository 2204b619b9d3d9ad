"""Decisions of the scheduler, as tables: which node, or why none."""

from typing import Any

import pytest

from nanokube.scheduler import cycle, requests
from nanokube.scheduler.model import Cluster, NodeInfo, pod_info


def node(name: str, cpu: str = "4", *, pods: str = "110", **more: Any) -> dict[str, Any]:
    labels = {"kubernetes.io/hostname": name, **more.pop("labels", {})}
    allocatable = {"cpu": cpu, "memory": "8Gi", "pods": pods}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": more.pop("spec", {}),
        "status": {"allocatable": allocatable, **more},
    }


def pod(
    name: str = "p", cpu: str = "", *, labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "c", "image": "app"}
    if cpu:
        container["resources"] = {"requests": {"cpu": cpu}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns", "uid": name, "labels": labels or {}},
        "spec": {"containers": [container], **spec},
    }


def decide(
    wanted: dict[str, Any], nodes: list[dict[str, Any]], placed: dict[str, list[Any]] | None = None
) -> str:
    infos = [NodeInfo(found) for found in nodes]
    for info in infos:
        for other in (placed or {}).get(info.name, ()):
            info.add(pod_info(other))
    decision = cycle.decide(pod_info(wanted), Cluster(infos), pick=lambda names: names[0])
    return decision.node if isinstance(decision, cycle.Placed) else decision.message


def affinity(kind: str, key: str, labels: dict[str, str]) -> dict[str, Any]:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": labels}}
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


TAINT = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
TOLERATION = {"key": "dedicated", "operator": "Equal", "value": "db", "effect": "NoSchedule"}
PORTS = [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]


@pytest.mark.parametrize(
    ("wanted", "nodes", "placed", "expected"),
    [
        (pod(), [], {}, "no nodes available to schedule pods"),
        (pod(), [node("a")], {}, "a"),
        (pod(cpu="8"), [node("a")], {}, "0/1 nodes are available: 1 Insufficient cpu."),
        (
            pod(cpu="8"),
            [node("a"), node("b", spec={"unschedulable": True}), node("c", spec={"taints": [TAINT]})],
            {},
            "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), "
            "1 node(s) were unschedulable.",
        ),
        (pod(), [node("a", pods="1")], {"a": [pod("q")]}, "0/1 nodes are available: 1 Too many pods."),
        (pod(tolerations=[TOLERATION]), [node("c", spec={"taints": [TAINT]})], {}, "c"),
        (pod(cpu="1"), [node("a"), node("b")], {"a": [pod("q", "2")]}, "b"),
        (
            pod(nodeSelector={"disk": "ssd"}),
            [node("a"), node("b", labels={"disk": "ssd"})],
            {},
            "b",
        ),
        (
            pod(nodeSelector={"disk": "ssd"}),
            [node("a")],
            {},
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        ),
        (
            pod(containers=PORTS),
            [node("a")],
            {"a": [pod("q", containers=PORTS)]},
            "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
        ),
        (
            pod(labels={"app": "x"}, **affinity("podAntiAffinity", "kubernetes.io/hostname", {"app": "x"})),
            [node("a"), node("b")],
            {"a": [pod("q", labels={"app": "x"})]},
            "b",
        ),
        (
            pod(labels={"app": "x"}),
            [node("a")],
            {"a": [pod("q", **affinity("podAntiAffinity", "kubernetes.io/hostname", {"app": "x"}))]},
            "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules.",
        ),
        (  # replicas that keep apart: the Pod's own rules are named before those of others
            pod(labels={"app": "x"}, **affinity("podAntiAffinity", "kubernetes.io/hostname", {"app": "x"})),
            [node("a")],
            {
                "a": [
                    pod(
                        "q",
                        labels={"app": "x"},
                        **affinity("podAntiAffinity", "kubernetes.io/hostname", {"app": "x"}),
                    )
                ]
            },
            "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
        ),
        (
            pod(**affinity("podAffinity", "kubernetes.io/hostname", {"app": "x"})),
            [node("a"), node("b")],
            {"b": [pod("q", labels={"app": "x"})]},
            "b",
        ),
        (
            pod(labels={"app": "x"}, **affinity("podAffinity", "kubernetes.io/hostname", {"app": "x"})),
            [node("a")],
            {},
            "a",  # the first of its kind
        ),
    ],
)
def test_decision(
    wanted: dict[str, Any], nodes: list[dict[str, Any]], placed: dict[str, list[Any]], expected: str
) -> None:
    assert decide(wanted, nodes, placed) == expected


def test_hard_spread_bounds_the_skew() -> None:
    spread = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "x"}},
    }
    nodes = [node("a", labels={"zone": "1"}), node("b", labels={"zone": "2"}), node("c")]
    wanted = pod(labels={"app": "x"}, topologySpreadConstraints=[spread])
    assert decide(wanted, nodes, {"a": [pod("q", labels={"app": "x"})]}) == "b"
    full = [nodes[0], node("b", "0", labels={"zone": "2"}), nodes[2]]
    wanted["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
    assert decide(wanted, full, {"a": [pod("q", labels={"app": "x"})]}) == (
        "0/3 nodes are available: 1 Insufficient cpu, "
        "1 node(s) didn't match pod topology spread constraints, "
        "1 node(s) didn't match pod topology spread constraints (missing required label)."
    )


def test_pods_of_one_owner_spread_softly() -> None:
    owner = [{"kind": "ReplicaSet", "uid": "rs", "controller": True, "name": "r", "apiVersion": "apps/v1"}]
    wanted, sibling = pod(), pod("q")
    wanted["metadata"]["ownerReferences"] = sibling["metadata"]["ownerReferences"] = owner
    assert decide(wanted, [node("a"), node("b")], {"a": [sibling]}) == "b"
    assert decide(wanted, [node("a"), node("b")], {"b": [sibling]}) == "a"


def test_images_draw_pods_to_where_they_are() -> None:
    images = [{"names": ["app:latest"], "sizeBytes": 900_000_000}]
    assert decide(pod(), [node("a"), node("b", images=images)]) == "b"


def test_requests_count_init_containers_sidecars_and_overhead() -> None:
    def asks(cpu: str, **more: Any) -> dict[str, Any]:
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}

    wanted = pod(
        containers=[asks("300m"), asks("200m")],
        initContainers=[asks("100m", restartPolicy="Always"), asks("900m")],
        overhead={"cpu": "50m"},
    )
    assert requests.of_pod(wanted) == {"cpu": 1050}
    wanted["spec"]["initContainers"][1] = asks("100m")
    assert requests.of_pod(wanted) == {"cpu": 650}
    wanted["spec"]["resources"] = {"requests": {"cpu": "2"}}
    assert requests.of_pod(wanted) == {"cpu": 2050}
