"""A kubelet in virtual time, and what surrounds it: for tests that play scenarios."""

import asyncio
import concurrent.futures
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from nanokube.api import resources
from nanokube.api.objects import Object
from nanokube.client.fake import FakeClient
from nanokube.client.interface import PatchKind
from nanokube.kit import clock, virtual_time
from nanokube.kubelet import run as kubelet
from nanokube.kubelet.config import KubeletConfig
from nanokube.kubelet.fake import FakeMounter, FakeRuntime

PODS = resources.get("pods")
NODE = "node-1"


class Server(FakeClient):
    """A fake API server that issues tokens and replaces container statuses whole, as the real one does."""

    async def create(
        self,
        resource: resources.Resource,
        obj: Object,
        namespace: str = "",
        *,
        subresource: str = "",
        name: str = "",
    ) -> dict[str, Any]:
        if subresource == "token":
            return {"status": {"token": f"token-of-{name}", "expirationTimestamp": "2100-01-01T00:00:00Z"}}
        return await super().create(resource, obj, namespace, subresource=subresource, name=name)

    async def patch(
        self,
        resource: resources.Resource,
        name: str,
        body: Any,
        namespace: str = "",
        *,
        kind: PatchKind = PatchKind.MERGE,
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> dict[str, Any]:
        if resource is PODS and subresource == "status":
            old = self.read(PODS, f"{namespace}/{name}")
            for field in ("containerStatuses", "initContainerStatuses"):
                if old and field in body["status"]:
                    old.get("status", {}).pop(field, None)
        return await super().patch(
            resource, name, body, namespace, kind=kind, subresource=subresource, force=force
        )


@dataclasses.dataclass
class World:
    """One node's kubelet and what surrounds it."""

    client: Server
    runtime: FakeRuntime
    config: KubeletConfig

    async def create(self, pod: dict[str, Any]) -> None:
        await self.client.create(PODS, pod, "default")

    def pod(self, name: str = "web") -> dict[str, Any] | None:
        return self.client.read(PODS, f"default/{name}")

    def status(self, name: str = "web") -> dict[str, Any]:
        found = self.pod(name)
        return dict(found["status"]) if found else {}

    def state(self, index: int = 0, field: str = "containerStatuses") -> dict[str, Any]:
        return dict(self.status()[field][index])

    def condition(self, type_: str) -> str:
        return next((c["status"] for c in self.status().get("conditions", ()) if c["type"] == type_), "")

    def reasons(self) -> list[str]:
        return [event["reason"] for event in self.client.all(resources.get("events"))]

    async def until(self, test: Callable[[], Any], seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while not test():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)


def pod(name: str = "web", **spec: Any) -> dict[str, Any]:
    containers = [{"name": "app", "image": "app:1", "imagePullPolicy": "IfNotPresent"}]
    return {
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {
            "nodeName": NODE,
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "containers": containers,
            **spec,
        },
    }


def app(**fields: Any) -> dict[str, Any]:
    return {"name": "app", "image": "app:1", "imagePullPolicy": "IfNotPresent", **fields}


class Ticking(clock.LoopClock):
    """Never tells the same time twice: events are named by theirs."""

    ticks = 0

    def time(self) -> float:
        self.ticks += 1
        return super().time() + self.ticks * 1e-6


class Inline(concurrent.futures.ThreadPoolExecutor):
    """Runs at once what would go to a thread: virtual time does not wait for threads."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


Scenario = Callable[[World], Awaitable[None]]


def play(tmp_path: Path, scenario: Scenario, *seed: dict[str, Any]) -> None:
    """Run a kubelet in virtual time while the scenario plays."""

    async def main() -> None:
        time = Ticking()
        world = World(Server(*seed, time=time), FakeRuntime(time.time), config(tmp_path))
        world.runtime.add_image("app:1")
        await with_kubelet(world, time, scenario)

    virtual_time.run(main())


def config(tmp_path: Path) -> KubeletConfig:
    return KubeletConfig(
        node_name=NODE,
        node_ip="192.0.2.1",
        cri_socket=tmp_path / "none.sock",
        root=tmp_path / "kubelet",
        pod_logs=tmp_path / "logs",
        capacity={"cpu": "4", "memory": "8Gi"},
    )


async def with_kubelet(world: World, time: clock.Clock, scenario: Scenario) -> None:
    asyncio.get_running_loop().set_default_executor(Inline())
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(
            kubelet.run_with(world.config, world.client, world.runtime, FakeMounter(), ready.set, time)
        )
        await ready.wait()
        await scenario(world)
        running.cancel()
