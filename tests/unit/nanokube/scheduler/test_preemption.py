"""Preemption as a table: where there is room, and at whose cost."""

from typing import Any

import pytest

from nanokube.scheduler import cycle, preemption
from nanokube.scheduler.model import Cluster, NodeInfo, pod_info
from tests.unit.nanokube.scheduler.test_cycle import TAINT, node, pod


def placed(name: str, priority: int, cpu: str = "1", *, start: str = "", **more: Any) -> dict[str, Any]:
    found = pod(name, cpu, priority=priority, **more)
    return {**found, "status": {"startTime": start or "2024-01-01T00:00:00Z"}}


def budget(allowed: int, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "b", "namespace": "ns"},
        "spec": {"selector": {"matchLabels": labels}},
        "status": {"disruptionsAllowed": allowed},
    }


WANTED = pod("wanted", "2", priority=100)
NONE = "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
PROTECTED: dict[str, Any] = {"labels": {"app": "db"}}


@pytest.mark.parametrize(
    ("nodes", "on", "budgets", "expected"),
    [
        pytest.param({"a": "2"}, {"a": [placed("x", 1)]}, [], "a: x", id="one victim"),
        pytest.param({"a": "2"}, {"a": [placed("x", 100)]}, [], NONE, id="equals stay"),
        pytest.param(
            {"a": "3"}, {"a": [placed("x", 5), placed("y", 1)]}, [], "a: y", id="the least important goes"
        ),
        pytest.param(
            {"a": "3"},
            {"a": [placed("old", 1), placed("new", 1, start="2024-02-01T00:00:00Z")]},
            [],
            "a: new",
            id="the younger goes",
        ),
        pytest.param(
            {"a": "2", "b": "2"},
            {"a": [placed("x", 9)], "b": [placed("y", 2), placed("z", 2)]},
            [],
            "b: y z",
            id="low priorities before few victims",
        ),
        pytest.param(
            {"a": "2", "b": "2"},
            {"a": [placed("x", 1, **PROTECTED)], "b": [placed("y", 9)]},
            [budget(0, app="db")],
            "b: y",
            id="budgets before priorities",
        ),
        pytest.param(
            {"a": "2"},
            {"a": [placed("x", 1, **PROTECTED)]},
            [budget(0, app="db")],
            "a: x",
            id="a budget does not save the only way",
        ),
        pytest.param(
            {"a": "1"},
            {"a": [placed("x", 1)]},
            [],
            "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
            id="too small when empty",
        ),
    ],
)
def test_room(
    nodes: dict[str, str], on: dict[str, list[dict[str, Any]]], budgets: list[dict[str, Any]], expected: str
) -> None:
    infos = [NodeInfo(node(name, cpu)) for name, cpu in nodes.items()]
    for info in infos:
        for found in on.get(info.name, ()):
            info.add(pod_info(found))
    cluster, wanted = Cluster(infos), pod_info(WANTED)
    decision = cycle.decide(wanted, cluster, pick=lambda names: names[0])
    assert isinstance(decision, cycle.Unplaced)
    room = preemption.find(wanted, cluster, decision.helpable, budgets)
    if isinstance(room, preemption.NoRoom):
        assert room.message == expected
    else:
        assert f"{room.node}: {' '.join(victim.uid for victim in room.victims)}" == expected
    assert [len(info.pods) for info in infos] == [len(on.get(name, ())) for name in nodes]


def test_tainted_node_is_not_cleared() -> None:
    info = NodeInfo(node("a", "2", spec={"taints": [TAINT]}))
    info.add(pod_info(placed("x", 1)))
    decision = cycle.decide(pod_info(WANTED), Cluster([info]), pick=lambda names: names[0])
    assert isinstance(decision, cycle.Unplaced)
    assert decision.helpable == ()
