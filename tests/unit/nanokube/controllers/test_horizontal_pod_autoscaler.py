"""Autoscalers: what metrics ask for and how fast it is followed as tables, the rest as stories."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from nanokube.api import errors, objects, resources
from nanokube.client import fake
from nanokube.controllers import autoscaling_limits as limits
from nanokube.controllers import autoscaling_metrics as metrics
from nanokube.controllers import autoscaling_replicas as calculation
from nanokube.controllers import horizontal_pod_autoscaler as controller
from nanokube.controllers.autoscaling_limits import Memory
from nanokube.controllers.autoscaling_replicas import NoProposal, Sample, Scene, Tolerance
from nanokube.kit import clock, virtual_time
from tests.unit.nanokube.controllers.stage import Stage

DEPLOYMENTS = resources.get("deployments.apps")
NOW = 10_000.0
OLD = "1970-01-01T00:00:00Z"


def a_pod(
    name: str, *, cpu: str | None = "100m", ready: bool = True, phase: str = "Running"
) -> dict[str, Any]:
    requests = {"cpu": cpu} if cpu else {}
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": OLD}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]},
        "status": {"phase": phase, "startTime": OLD, "conditions": [condition]},
    }


def scene(*pods: dict[str, Any], replicas: int = 0) -> Scene:
    return Scene(pods, replicas or len(pods), Tolerance(), NOW)


def samples(**milli: int) -> dict[str, Sample]:
    return {name: Sample(value, NOW) for name, value in milli.items()}


A, B, C = a_pod("a"), a_pod("b"), a_pod("c")


@pytest.mark.parametrize(
    ("pods", "used", "target", "replicas", "utilization"),
    [
        ((A, B), {"a": 50, "b": 50}, 50, 2, 50),
        ((A, B), {"a": 54, "b": 54}, 50, 2, 54),
        ((A, B), {"a": 100, "b": 100}, 50, 4, 100),
        ((A, B, C), {"a": 10, "b": 10, "c": 10}, 50, 1, 10),
        ((A, B), {"a": 100}, 50, 2, 100),  # who is missing uses nothing when that scales up
        ((A, B), {"a": 10}, 50, 2, 10),  # and all when that scales down
        ((A, a_pod("b", phase="Pending")), {"a": 300}, 50, 6, 300),
        ((A, a_pod("b", ready=False, phase="Pending")), {"a": 20}, 50, 1, 20),
        ((A, a_pod("b", phase="Failed")), {"a": 100, "b": 999}, 50, 2, 100),
    ],
)
def test_use_is_compared_with_requests(
    pods: tuple[Any, ...], used: dict[str, int], target: int, replicas: int, utilization: int
) -> None:
    found = calculation.of_utilization(scene(*pods), samples(**used), "cpu", target)
    assert (found.replicas, found.utilization) == (replicas, utilization)


@pytest.mark.parametrize(
    ("pods", "used", "cause"),
    [
        ((), {"a": 1}, "no pods returned by selector while calculating replica count"),
        ((A,), {}, "did not receive metrics for targeted pods"),
        ((a_pod("a", cpu=None),), {"a": 1}, "missing request for cpu in container c of Pod a"),
    ],
)
def test_what_asks_for_nothing(pods: tuple[Any, ...], used: dict[str, int], cause: str) -> None:
    with pytest.raises(NoProposal, match=cause):
        calculation.of_utilization(scene(*pods), samples(**used), "cpu", 50)


def test_averages_values_and_shares() -> None:
    assert calculation.of_average(scene(A, B), samples(a=200, b=200), "", 100).replicas == 4
    assert calculation.of_value(scene(A, B), 3000, 1000).replicas == 6
    assert calculation.of_value(scene(replicas=0), 3000, 1000).replicas == 3
    assert calculation.of_share(Tolerance(), 2, 7000, 1000).replicas == 7
    assert calculation.of_share(Tolerance(), 7, 7000, 1000).replicas == 7


BEHAVIOR = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ],
    },
    "scaleDown": {"selectPolicy": "Max", "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]},
}


@pytest.mark.parametrize(
    ("behavior", "memory", "current", "wanted", "replicas", "reasons"),
    [
        (None, Memory(), 3, 5, 5, ("ReadyForNewScale", "DesiredWithinRange")),
        (None, Memory(), 1, 9, 4, ("ReadyForNewScale", "ScaleUpLimit")),
        (None, Memory(), 9, 30, 10, ("ReadyForNewScale", "TooManyReplicas")),
        (None, Memory(), 9, 1, 2, ("ReadyForNewScale", "TooFewReplicas")),
        (None, Memory(((NOW - 299, 8),)), 9, 3, 8, ("ScaleDownStabilized", "DesiredWithinRange")),
        (None, Memory(((NOW - 301, 8),)), 9, 3, 3, ("ReadyForNewScale", "DesiredWithinRange")),
        (BEHAVIOR, Memory(), 1, 9, 5, ("ReadyForNewScale", "ScaleUpLimit")),
        (BEHAVIOR, Memory(added=((NOW - 5, 4),)), 5, 9, 5, ("ReadyForNewScale", "ScaleUpLimit")),
        (BEHAVIOR, Memory(added=((NOW - 15, 4),)), 5, 9, 9, ("ReadyForNewScale", "DesiredWithinRange")),
        (BEHAVIOR, Memory(((NOW - 100, 7),)), 8, 3, 7, ("ScaleDownStabilized", "DesiredWithinRange")),
        (BEHAVIOR, Memory(), 8, 3, 7, ("ReadyForNewScale", "ScaleDownLimit")),
        (BEHAVIOR, Memory(removed=((NOW - 59, 1),)), 7, 3, 7, ("ReadyForNewScale", "ScaleDownLimit")),
    ],
)
def test_how_fast_wishes_are_followed(
    behavior: Any, memory: Memory, current: int, wanted: int, replicas: int, reasons: tuple[str, str]
) -> None:
    spec = {"minReplicas": 2, "maxReplicas": 10, "behavior": behavior}
    found = limits.limit(spec, memory, current, wanted, NOW)
    assert found.replicas == replicas
    assert tuple(condition.reason for condition in found.conditions) == reasons
    assert found.memory.recommended[-1] == (NOW, wanted)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30.0), ("1m30s", 90.0), ("250ms", 0.25), ("0s", 0.0)])
def test_windows_of_measurement(text: str, seconds: float) -> None:
    assert metrics.duration_s(text) == seconds


class Metered(fake.FakeClient):
    """A fake server that also serves /scale of one Deployment, and metrics.k8s.io once `used` is set."""

    used: Mapping[str, str] | None = None

    async def get(self, resource: Any, name: str, namespace: str = "", *, subresource: str = "") -> Any:
        found = await super().get(resource, name, namespace)
        if subresource != "scale":
            return found
        replicas = objects.replicas(found)
        metadata = {"name": name, "namespace": namespace}
        status = {"replicas": replicas, "selector": "app=web"}
        return {"kind": "Scale", "metadata": metadata, "spec": {"replicas": replicas}, "status": status}

    async def patch(self, resource: Any, name: str, body: Any, namespace: str = "", **options: Any) -> Any:
        if options.get("subresource") == "scale":
            live = await super().get(resource, name, namespace)
            return await self.update(resource, {**live, "spec": {**live["spec"], **body["spec"]}})
        return await super().patch(resource, name, body, namespace, **options)

    async def raw(self, method: str, path: str, **options: Any) -> bytes:
        if self.used is None or not path.startswith(metrics.RESOURCE):
            raise errors.no_such_path()
        assert options["params"] == {"labelSelector": "app=web"}
        items = [
            {
                "metadata": {"name": name},
                "window": "30s",
                "timestamp": OLD,
                "containers": [{"name": "c", "usage": {"cpu": amount}}],
            }
            for name, amount in self.used.items()
        ]
        return orjson.dumps({"items": items})


def a_stage() -> tuple[Stage, Metered]:
    stage = Stage(controller.HorizontalPodAutoscalerController)
    stage.clock = clock.LoopClock(NOW)  # long after the Pods' start
    client = stage.client = Metered(time=stage.clock)
    client.put(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d", "namespace": "ns"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}},
        }
    )
    target = {"type": "Utilization", "averageUtilization": 50}
    client.put(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "h", "namespace": "ns"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
                "minReplicas": 1,
                "maxReplicas": 5,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            },
        }
    )
    client.put(A)
    client.put(B)
    return stage, client


def shown(stage: Stage) -> dict[str, tuple[str, str]]:
    status = stage.status(controller.AUTOSCALERS, "ns/h")
    return {c["type"]: (c["status"], c["reason"]) for c in status.get("conditions") or ()}


def test_without_metrics_the_conditions_say_so() -> None:
    async def story() -> None:
        stage, _ = a_stage()
        async with stage.running():
            await asyncio.sleep(1)
            assert shown(stage) == {
                "AbleToScale": ("True", "SucceededGetScale"),
                "ScalingActive": ("False", "FailedGetResourceMetric"),
            }
            status = stage.status(controller.AUTOSCALERS, "ns/h")
            assert (status["currentReplicas"], status["desiredReplicas"]) == (2, 0)
            assert status["conditions"][1]["message"] == (
                "the HPA was unable to compute the replica count: failed to get cpu utilization: "
                "unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: "
                "the server could not find the requested resource (get pods.metrics.k8s.io)"
            )

    virtual_time.run(story())


def test_load_scales_up_and_its_end_down_after_the_window() -> None:
    async def story() -> None:
        stage, client = a_stage()
        client.used = {"a": "100m", "b": "100m"}
        async with stage.running():
            await asyncio.sleep(1)
            assert stage.client.read(DEPLOYMENTS, "ns/d")["spec"]["replicas"] == 4  # type: ignore[index]
            status = stage.status(controller.AUTOSCALERS, "ns/h")
            assert (status["currentReplicas"], status["desiredReplicas"]) == (2, 4)
            value = {"averageValue": "100m", "averageUtilization": 100}
            assert status["currentMetrics"][0]["resource"] == {"name": "cpu", "current": value}
            assert shown(stage)["AbleToScale"] == ("True", "SucceededRescale")
            client.used = {"a": "1m", "b": "1m"}
            await asyncio.sleep(200)
            assert shown(stage)["AbleToScale"] == ("True", "ScaleDownStabilized")
            assert stage.client.read(DEPLOYMENTS, "ns/d")["spec"]["replicas"] == 4  # type: ignore[index]
            await asyncio.sleep(200)
            assert stage.client.read(DEPLOYMENTS, "ns/d")["spec"]["replicas"] == 1  # type: ignore[index]
            reasons = [line for line in stage.events.lines if line.startswith("Normal SuccessfulRescale")]
            assert len(reasons) == 2

    virtual_time.run(story())


def test_bounds_hold_without_metrics() -> None:
    async def story() -> None:
        stage, client = a_stage()
        client.put({**client.read(DEPLOYMENTS, "ns/d"), "spec": {"replicas": 9}})  # type: ignore[dict-item]
        async with stage.running():
            await asyncio.sleep(1)
            assert client.read(DEPLOYMENTS, "ns/d")["spec"]["replicas"] == 5  # type: ignore[index]

    virtual_time.run(story())
