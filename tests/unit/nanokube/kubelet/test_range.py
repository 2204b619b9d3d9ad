"""Pods wait for the range that the cluster gives their node: the runtime may know a former one."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from nanokube.api import resources
from nanokube.kit import virtual_time
from nanokube.kubelet import run as kubelet
from nanokube.kubelet.fake import FakeRuntime
from tests.unit.nanokube.kubelet import world as worlds

NODES = resources.get("nodes")


@pytest.mark.parametrize("given", [True, False])
def test_pods_start_once_the_node_has_its_range(tmp_path: Path, given: bool) -> None:
    async def main() -> None:
        time = worlds.Ticking()
        config = dataclasses.replace(worlds.config(tmp_path), pod_cidr="")
        world = worlds.World(worlds.Server(time=time), FakeRuntime(time.time), config)
        world.runtime.add_image("app:1")
        await world.create(worlds.pod())

        async def assign() -> None:
            await asyncio.sleep(3)
            assert not [call for call in world.runtime.calls if call.startswith("start")]
            if given:
                change = {"spec": {"podCIDR": "10.9.0.0/24", "podCIDRs": ["10.9.0.0/24"]}}
                await world.client.patch(NODES, worlds.NODE, change)

        async def scenario(world: worlds.World) -> None:
            began = asyncio.get_running_loop().time()
            await world.until(lambda: world.runtime.running() == ["app"])
            calls = world.runtime.calls
            assert ("cidr 10.9.0.0/24" in calls) is given, "without one they start all the same"
            if given:
                assert calls.index("cidr 10.9.0.0/24") < calls.index("start app")
            assert asyncio.get_running_loop().time() - began < kubelet.RANGE_WAIT_S

        async with asyncio.TaskGroup() as group:
            group.create_task(assign())
            group.create_task(worlds.with_kubelet(world, time, scenario))

    virtual_time.run(main())
