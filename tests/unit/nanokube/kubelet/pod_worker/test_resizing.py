"""Resizes in place, on a fake runtime, in virtual time."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nanokube.kit import virtual_time
from nanokube.kubelet import pod_cgroups
from nanokube.kubelet.fake import FakeRuntime
from tests.unit.nanokube.kubelet.world import (
    PODS,
    Server,
    Ticking,
    World,
    app,
    config,
    play,
    pod,
    with_kubelet,
)


def sized(cpu: str, memory: str, **fields: Any) -> dict[str, Any]:
    amounts = {"cpu": cpu, "memory": memory}
    return app(resources={"requests": dict(amounts), "limits": dict(amounts)}, **fields)


async def resized(world: World, cpu: str, memory: str, index: int = 0, name: str = "web") -> None:
    found = world.pod(name)
    assert found is not None
    amounts = {"cpu": cpu, "memory": memory}
    containers = [dict(c) for c in found["spec"]["containers"]]
    containers[index]["resources"] = {"requests": dict(amounts), "limits": dict(amounts)}
    body = {"spec": {"containers": containers}, "metadata": {"generation": 2}}
    await world.client.patch(PODS, name, body, "default")


def test_a_resize_is_applied_without_a_restart_memory_before_cpu_and_shrinking_first(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        two = {**sized("200m", "64Mi"), "name": "two"}
        await world.create(pod(containers=[sized("100m", "32Mi"), two]))
        await world.until(lambda: world.condition("Ready") == "True")
        found = world.pod()
        assert found is not None
        containers = [sized("300m", "96Mi"), {**sized("150m", "48Mi"), "name": "two"}]
        body = {"spec": {"containers": containers}, "metadata": {"generation": 2}}
        await world.client.patch(PODS, "web", body, "default")
        await world.until(lambda: "ResizeCompleted" in world.reasons())
        updates = [(name, u.memory_limit_in_bytes >> 20, u.cpu_quota) for name, u in world.runtime.updates]
        assert updates == [
            ("two", 48, 20000),
            ("app", 96, 10000),
            ("two", 48, 15000),
            ("app", 96, 30000),
        ]
        await world.until(lambda: world.condition("PodResizeInProgress") != "True")
        assert world.state()["allocatedResources"] == {"cpu": "300m", "memory": "96Mi"}
        assert world.state()["restartCount"] == 0
        assert world.runtime.calls.count("start app") == 1

    play(tmp_path, scenario)


def test_a_resize_policy_restarts_the_container(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
        await world.create(pod(containers=[sized("100m", "32Mi", resizePolicy=policy)]))
        await world.until(lambda: world.condition("Ready") == "True")
        await resized(world, "200m", "32Mi")
        await world.until(lambda: len(world.runtime.updates) == 1)
        assert world.state()["restartCount"] == 0
        await resized(world, "200m", "64Mi")
        await world.until(lambda: world.state()["restartCount"] == 1)
        await world.until(lambda: world.condition("PodResizeInProgress") != "True")
        assert len(world.runtime.updates) == 1

    play(tmp_path, scenario)


def test_a_resize_waits_for_room_and_is_refused_where_there_can_be_none(tmp_path: Path) -> None:
    def pending(world: World) -> str:
        conditions = world.status().get("conditions", ())
        return next((str(c["reason"]) for c in conditions if c["type"] == "PodResizePending"), "")

    async def scenario(world: World) -> None:
        await world.create(pod(containers=[sized("1", "32Mi")]))
        await world.create(pod("other", containers=[sized("2", "32Mi")]))
        await world.until(lambda: world.runtime.running() == ["app", "app"])
        await resized(world, "9", "32Mi")
        await world.until(lambda: pending(world) == "Infeasible")
        await resized(world, "3", "32Mi")
        await world.until(lambda: pending(world) == "Deferred")
        assert world.state()["allocatedResources"]["cpu"] == "1"
        assert not world.runtime.updates
        await world.client.delete(PODS, "other", "default")
        await world.until(lambda: bool(world.runtime.updates))
        await world.until(lambda: not pending(world))
        assert world.state()["allocatedResources"]["cpu"] == "3"

    play(tmp_path, scenario)


def test_a_resize_gets_the_room_of_a_pod_gone_from_the_api_while_that_still_ends(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.create(pod(containers=[sized("1", "32Mi")]))
        await world.create(pod("other", containers=[{**sized("2", "32Mi"), "name": "old"}]))
        await world.until(lambda: sorted(world.runtime.running()) == ["app", "old"])
        await resized(world, "3", "32Mi")
        await world.until(lambda: "PodResizePending" in str(world.status().get("conditions")))
        world.runtime.stop_delay_s = 1000
        await world.client.delete(PODS, "other", "default", grace_period_s=0)
        await world.until(lambda: bool(world.runtime.updates))
        assert "old" in world.runtime.running()

    play(tmp_path, scenario)


def test_an_init_container_is_resized_while_it_runs_if_there_is_room(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        first = {**sized("1", "32Mi"), "name": "first"}
        await world.create(pod(containers=[app()], initContainers=[first]))
        await world.until(lambda: world.runtime.running() == ["first"])
        found = world.pod()
        assert found is not None
        body = {"spec": {"initContainers": [{**first, "resources": {"requests": {"cpu": "9"}}}]}}
        await world.client.patch(PODS, "web", body, "default")
        await world.until(lambda: world.condition("PodResizePending") == "True")
        body["spec"]["initContainers"][0]["resources"] = {"requests": {"cpu": "2"}}
        await world.client.patch(PODS, "web", body, "default")
        await world.until(lambda: world.condition("PodResizePending") != "True")
        await world.until(lambda: "ResizeCompleted" in world.reasons())
        assert world.runtime.updates[-1][0] == "first"
        assert world.state(field="initContainerStatuses")["allocatedResources"]["cpu"] == "2"

    play(tmp_path, scenario)


def test_a_memory_limit_below_what_is_used_is_not_set(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.create(pod(containers=[sized("1", "64Mi")]))
        await world.until(lambda: world.condition("Ready") == "True")
        world.runtime.memory_used["app"] = 48 << 20
        await resized(world, "1", "32Mi")
        await world.until(lambda: "ResizeError" in world.reasons())
        found = next(c for c in world.status()["conditions"] if c["type"] == "PodResizeInProgress")
        assert found["reason"] == "Error"
        assert "below current usage" in found["message"]
        assert not world.runtime.updates
        world.runtime.memory_used["app"] = 16 << 20
        await world.until(lambda: bool(world.runtime.updates))
        await world.until(lambda: world.condition("PodResizeInProgress") != "True")

    play(tmp_path, scenario)


def test_a_restarted_kubelet_knows_what_was_allocated_and_resizes_what_changed_meanwhile(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        time = Ticking()
        world = World(Server(time=time), FakeRuntime(time.time), config(tmp_path))
        world.runtime.add_image("app:1")

        async def first(world: World) -> None:
            await world.create(pod(containers=[sized("1", "64Mi")]))
            await world.until(lambda: world.condition("Ready") == "True")
            await resized(world, "2", "64Mi")
            await world.until(lambda: len(world.runtime.updates) == 1)
            await world.until(lambda: world.condition("PodResizeInProgress") != "True")

        async def second(world: World) -> None:
            await asyncio.sleep(30)
            assert len(world.runtime.updates) == 1

        async def third(world: World) -> None:
            await world.until(lambda: len(world.runtime.updates) == 2)

        await with_kubelet(world, time, first)
        await with_kubelet(world, time, second)
        await resized(world, "3", "64Mi")
        await with_kubelet(world, time, third)

    virtual_time.run(main())


@pytest.mark.parametrize(
    ("have", "want", "before", "after"),
    [
        ({"memory": 10}, {"memory": 20}, {"memory": 20}, {}),
        ({"memory": 20}, {"memory": 10}, {}, {"memory": 10}),
        ({"quota": -1}, {"quota": 1000}, {}, {"quota": 1000}),  # a limit is added
        ({"memory": 10, "quota": 5}, {"memory": 10, "quota": 6}, {"quota": 6}, {}),
        ({}, {"memory": 10}, {}, {}),  # no such controller here
    ],
)
def test_a_pod_grows_before_its_containers_and_shrinks_after(
    have: dict[str, int], want: dict[str, int], before: dict[str, int], after: dict[str, int]
) -> None:
    assert pod_cgroups.steps(have, want) == (before, after)


@pytest.mark.parametrize(
    ("files", "written"),
    [
        (
            {"memory.limit_in_bytes": "9223372036854771712", "cpu.cfs_quota_us": "-1", "cpu.shares": "1024"},
            {"memory.limit_in_bytes": "4096", "cpu.cfs_quota_us": "2000", "cpu.shares": "512"},
        ),
        (
            {"memory.max": "max", "cpu.max": "max 100000", "cpu.weight": "39"},
            {"memory.max": "4096", "cpu.max": "2000 100000", "cpu.weight": "20"},
        ),
    ],
    ids=["v1", "v2"],
)
def test_the_limits_of_a_pod_are_those_of_its_cgroup(
    tmp_path: Path, files: dict[str, str], written: dict[str, str]
) -> None:
    group = tmp_path / "pods" / "podx"
    group.mkdir(parents=True)
    for name, text in files.items():
        (group / name).write_text(text)
    have = pod_cgroups.read([tmp_path], "/pods/podx")
    assert (have["memory"], have["quota"]) == (-1, -1)
    pod_cgroups.write([tmp_path], "/pods/podx", {"memory": 4096, "quota": 2000, "shares": 512})
    assert {name: (group / name).read_text() for name in files} == written
    assert pod_cgroups.weight(pod_cgroups.read([tmp_path], "/pods/podx")["shares"]) == pod_cgroups.weight(512)


def test_a_pod_has_its_cgroup_before_its_first_container(tmp_path: Path) -> None:
    memory, unified, other = tmp_path / "memory", tmp_path / "unified", tmp_path / "pids"
    for point in (memory, unified, other):
        point.mkdir()
    (memory / "memory.limit_in_bytes").write_text("-1")
    (unified / "cgroup.controllers").write_text("cpu io memory")
    pod_cgroups.make([memory, unified, other], "/pods/podx")
    assert (memory / "pods/podx").is_dir()
    assert (unified / "pods/podx").is_dir()
    assert (unified / "pods/cgroup.subtree_control").read_text() == "+cpu +memory"
    assert not (other / "pods").exists()
