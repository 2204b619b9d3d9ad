"""A host goes down under a kubelet, on a fake runtime and a fake API server, in virtual time."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nanokube.api import resources
from nanokube.kit import virtual_time
from nanokube.kubelet import run as kubelet
from nanokube.kubelet.config import KubeletConfig
from nanokube.kubelet.fake import FakeMounter, FakeRuntime
from nanokube.kubelet.node import shutdown
from tests.unit.nanokube.kubelet import world as worlds
from tests.unit.nanokube.kubelet.world import World, pod

CRITICAL = 2_000_000_000


class Host:
    """A host that goes down when a test says so."""

    def __init__(self) -> None:
        self.needed_s = 0.0
        self.held = True
        self.proceeded = asyncio.Event()
        self.orders: asyncio.Queue[bool] = asyncio.Queue()

    async def watch(self, needed_s: float, act: Callable[[bool], Awaitable[None]]) -> None:
        self.needed_s = needed_s
        while True:
            order = await self.orders.get()
            self.proceeded.clear()
            await act(order)

    def proceed(self) -> None:
        self.proceeded.set()


Scenario = Callable[[World, Host], Awaitable[None]]


def play(tmp_path: Path, scenario: Scenario, grace_s: float = 30, critical_s: float = 10) -> None:
    """Run a kubelet that gives Pods time, while the scenario plays."""

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(worlds.Inline())
        time, ready, host = worlds.Ticking(), asyncio.Event(), Host()
        told = {"shutdown_grace_s": grace_s, "shutdown_grace_critical_s": critical_s}
        config = dataclasses.replace(worlds.config(tmp_path), **told)  # type: ignore[arg-type]
        world = World(worlds.Server(time=time), FakeRuntime(time.time), config)
        world.runtime.add_image("app:1")
        async with asyncio.TaskGroup() as group:
            running = group.create_task(
                kubelet.run_with(
                    config, world.client, world.runtime, FakeMounter(), ready.set, time, host=host
                )
            )
            await ready.wait()
            await scenario(world, host)
            running.cancel()

    virtual_time.run(main())


async def start(world: World, *names: str, **spec: Any) -> None:
    for name in names:
        await world.create(pod(name, **spec))
    for name in names:
        await world.until(lambda name=name: world.status(name).get("phase") == "Running")  # type: ignore[misc]


def ready(world: World) -> dict[str, Any]:
    node = world.client.read(resources.get("nodes"), worlds.NODE) or {}
    return next(c for c in node["status"]["conditions"] if c["type"] == "Ready")


def test_pods_end_before_the_host_and_say_why(tmp_path: Path) -> None:
    async def scenario(world: World, host: Host) -> None:
        await start(world, "web")
        assert host.needed_s == 30
        host.orders.put_nowait(True)
        await asyncio.wait_for(host.proceeded.wait(), 5)
        status = world.status()
        assert (status["phase"], status["reason"]) == ("Failed", "Terminated")
        assert status["message"] == "Pod was terminated in response to imminent node shutdown."
        assert world.condition("DisruptionTarget") == "True"
        assert world.condition("Ready") == "False"
        assert "stop app 20" in world.runtime.calls, "what ordinary Pods have of it, less than their own 30"
        assert world.runtime.running() == []
        await world.until(lambda: ready(world)["status"] == "False", 1)
        assert "node is shutting down" in ready(world)["message"]
        await asyncio.sleep(5)
        assert "NodeShutdown" in world.reasons()

    play(tmp_path, scenario)


def test_critical_pods_end_last(tmp_path: Path) -> None:
    async def scenario(world: World, host: Host) -> None:
        await start(world, "web", terminationGracePeriodSeconds=5)
        await start(world, "core", priority=CRITICAL, containers=[worlds.app(name="core")])
        world.runtime.stop_delay_s = 3
        host.orders.put_nowait(True)
        await host.proceeded.wait()
        stops = [call for call in world.runtime.calls if call.startswith("stop ")]
        assert stops == ["stop app 5", "stop core 10"]

    play(tmp_path, scenario)


def test_a_pod_that_does_not_end_holds_nothing_up(tmp_path: Path) -> None:
    async def scenario(world: World, host: Host) -> None:
        await start(world, "web")
        world.runtime.stop_delay_s = 1000
        began = asyncio.get_running_loop().time()
        host.orders.put_nowait(True)
        await host.proceeded.wait()
        assert asyncio.get_running_loop().time() - began == pytest.approx(20, abs=0.5)

    play(tmp_path, scenario)


def test_new_pods_are_refused_until_it_is_called_off(tmp_path: Path) -> None:
    async def scenario(world: World, host: Host) -> None:
        host.orders.put_nowait(True)
        await host.proceeded.wait()
        await world.create(pod("late"))
        await world.until(lambda: world.status("late").get("phase") == "Failed", 2)
        assert world.status("late")["reason"] == "NodeShutdown"
        host.orders.put_nowait(False)
        await world.until(lambda: ready(world)["status"] == "True", 2)
        await start(world, "later")

    play(tmp_path, scenario)


def test_a_pod_that_was_ending_gets_no_longer_than_the_host_waits(tmp_path: Path) -> None:
    async def scenario(world: World, host: Host) -> None:
        await start(world, "web")
        world.runtime.stop_delay_s = 4
        await world.client.delete(worlds.PODS, "web", "default", grace_period_s=500)
        await asyncio.sleep(1)
        host.orders.put_nowait(True)
        await world.until(lambda: world.pod() is None, 6)
        assert [c for c in world.runtime.calls if c.startswith("stop app")] == ["stop app 500", "stop app 20"]

    play(tmp_path, scenario)


def test_without_time_given_to_ordinary_pods_they_are_told_all_the_same(tmp_path: Path) -> None:
    async def scenario(world: World, host: Host) -> None:
        await start(world, "web")
        host.orders.put_nowait(True)
        await host.proceeded.wait()
        await world.until(lambda: world.status()["phase"] == "Failed", 5)

    play(tmp_path, scenario, grace_s=10, critical_s=10)


def test_no_host_that_tells_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Silent(Host):
        async def watch(self, needed_s: float, act: Callable[[bool], Awaitable[None]]) -> None:
            raise OSError("no bus")

    async def main() -> None:
        config = KubeletConfig("n", "192.0.2.1", tmp_path / "s", shutdown_grace_s=5)

        async def say(_reason: str) -> None: ...

        part = shutdown.Shutdown(config, Silent(), list, lambda _refusal: None, say, lambda _text: None)
        async with asyncio.timeout(200):
            await part.run()

    with pytest.raises(TimeoutError):
        virtual_time.run(main())
    assert caplog.text.count("no bus") == 1
