"""Disruption budgets: the counts as a table, the rest as stories in virtual time."""

import asyncio
from typing import Any

import pytest

from nanokube.api import objects, resources, timestamps
from nanokube.controllers import disruption, disruption_status
from nanokube.kit import virtual_time
from tests.unit.nanokube.controllers.stage import PODS, Stage

BUDGETS = resources.get("poddisruptionbudgets.policy")
OWNER = {"kind": "ReplicaSet", "name": "r", "uid": "r", "controller": True, "apiVersion": "apps/v1"}


def a_budget(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "b", "namespace": "ns"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec},
    }


def a_pod(name: str, *, ready: bool = True, owned: bool = True, **meta: Any) -> dict[str, Any]:
    owners = [OWNER] if owned else []
    labels = {"app": "web"}
    condition = {"type": "Ready", "status": str(ready)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns", "labels": labels, "ownerReferences": owners, **meta},
        "spec": {},
        "status": {"phase": "Running", "conditions": [condition]},
    }


THREE = [a_pod("a"), a_pod("b"), a_pod("c", ready=False)]


@pytest.mark.parametrize(
    ("spec", "found", "scale", "expected"),
    [
        ({"minAvailable": 1}, THREE, 3, (3, 1, 2, 1)),
        ({"minAvailable": 2}, THREE, 3, (3, 2, 2, 0)),
        ({"minAvailable": "50%"}, THREE, 4, (4, 2, 2, 0)),
        ({"maxUnavailable": 1}, THREE, 3, (3, 2, 2, 0)),
        ({"maxUnavailable": "50%"}, THREE, 3, (3, 1, 2, 1)),
        ({"maxUnavailable": 1}, [], 3, (0, 0, 0, 0)),
        ({"minAvailable": 0}, [a_pod("a", deletionTimestamp="x")], 1, (1, 0, 0, 0)),
    ],
)
def test_counts(
    spec: dict[str, Any], found: list[Any], scale: int, expected: tuple[int, int, int, int]
) -> None:
    verdict = disruption_status.judge(a_budget(**spec), found, lambda ref, ns: ("r", scale), 0.0)
    fields = ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed")
    assert tuple(verdict.status[field] for field in fields) == expected
    reason = verdict.status["conditions"][0]["reason"]
    assert reason == ("SufficientPods" if expected[3] else "InsufficientPods")


def test_unknown_scale_allows_nothing() -> None:
    verdict = disruption_status.judge(a_budget(maxUnavailable=1), THREE, lambda ref, ns: None, 0.0)
    assert verdict.status["disruptionsAllowed"] == 0
    assert verdict.status["conditions"][0]["message"] == 'found no controllers for pod "a"'


def test_evicted_pod_counts_as_gone_for_two_minutes() -> None:
    budget = a_budget(minAvailable=1)
    budget["status"] = {"disruptedPods": {"a": timestamps.format_time(0)}}
    verdict = disruption_status.judge(budget, THREE, lambda ref, ns: None, 60.0)
    assert verdict.status["currentHealthy"] == 1
    assert verdict.again_s == pytest.approx(60, abs=0.1)
    verdict = disruption_status.judge(budget, THREE, lambda ref, ns: None, 121.0)
    assert "disruptedPods" not in verdict.status
    assert [objects.name(pod) for pod in verdict.undeleted] == ["a"]


def test_status_follows_the_pods() -> None:
    async def story() -> None:
        stage = Stage(disruption.DisruptionController)
        async with stage.running():
            for found in THREE:
                stage.client.put(found)
            await stage.client.create(BUDGETS, a_budget(minAvailable=1))
            await asyncio.sleep(0.1)
            assert stage.status(BUDGETS, "ns/b")["disruptionsAllowed"] == 1
            stage.ready("c")
            await asyncio.sleep(0.1)
            assert stage.status(BUDGETS, "ns/b")["disruptionsAllowed"] == 2

    virtual_time.run(story())


def test_mark_of_an_eviction_that_came_to_nothing_is_taken_back() -> None:
    async def story() -> None:
        stage = Stage(disruption.DisruptionController)
        async with stage.running():
            marked = a_pod("a")
            mark = {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": stage.stamp()}
            marked["status"]["conditions"].append(mark)
            marked["metadata"]["generation"] = 3
            stage.client.put(marked)
            await asyncio.sleep(119)
            found = stage.client.read(PODS, "ns/a")
            assert found is not None
            assert objects.is_condition_true(found, "DisruptionTarget")
            await asyncio.sleep(2)
            found = stage.client.read(PODS, "ns/a")
            assert found is not None
            assert not objects.is_condition_true(found, "DisruptionTarget")
            assert (objects.condition(found, "DisruptionTarget") or {})["observedGeneration"] == 3

    virtual_time.run(story())
