"""Scenarios run by test_real_runtime.py: the kubelet on the real runtime, with a fake API server."""

import asyncio
import contextlib
import functools
import logging
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from nanokube.api import errors, resources
from nanokube.kit import clock
from nanokube.kubelet import run as kubelet
from nanokube.kubelet.config import KubeletConfig
from nanokube.kubelet.cri_client import CriClient
from tests.unit.nanokube.kubelet.world import Server

PODS = resources.get("pods")
IMAGE = "docker.io/library/busybox:test"
SLEEP = "trap 'exit 0' TERM; while :; do sleep 0.05; done"


class World:
    """A kubelet that runs, and the API beside it."""

    def __init__(self, directory: Path, name: str) -> None:
        self.client = Server(time=clock.SYSTEM)
        self.directory = directory
        self.config = KubeletConfig(
            node_name="node-1",
            node_ip="127.0.0.1",
            cri_socket=directory / "cri.sock",
            root=directory / "kubelet",
            pod_logs=directory / "pod-logs",
            pod_cidr="10.199.0.0/24",
            cgroup_root=f"/{name}/pods",
        )

    @contextlib.asynccontextmanager
    async def kubelet(self) -> AsyncIterator[None]:
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(kubelet.run(self.config, self.client, ready.set))
            async with asyncio.timeout(40):
                await ready.wait()
            try:
                yield
            finally:
                task.cancel()

    async def create(self, name: str, script: str = SLEEP, **spec: Any) -> None:
        container = {
            "name": "app",
            "image": IMAGE,
            "command": ["sh", "-c", script],
            "imagePullPolicy": "IfNotPresent",
            **spec.pop("container", {}),
        }
        body = {
            "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
            "spec": {
                "nodeName": "node-1",
                "restartPolicy": "Always",
                "terminationGracePeriodSeconds": 5,
                "containers": [container],
                **spec,
            },
        }
        await self.client.create(PODS, body)

    def status(self, name: str) -> dict[str, Any]:
        return dict((self.client.read(PODS, f"default/{name}") or {}).get("status") or {})

    def is_ready(self, name: str) -> bool:
        conditions = self.status(name).get("conditions") or ()
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def log(self, name: str) -> list[str]:
        lines: list[str] = []
        for path in self.config.pod_logs.glob(f"default_{name}_*/app/*.log"):
            lines += [line.split(" ", 3)[3] for line in path.read_text().splitlines()]
        return lines

    async def until(self, test: Callable[[], Any], seconds: float = 40) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not test():  # noqa: ASYNC110 - the fake has no event for it
                    await asyncio.sleep(0.005)
        except TimeoutError:
            for event in self.client.all(resources.get("events")):
                print(event["reason"], event["message"])
            for pod in self.client.all(PODS):
                print(pod["status"])
            raise

    async def delete(self, name: str) -> None:
        with contextlib.suppress(errors.ApiError):
            await self.client.delete(PODS, name, "default")
        await self.until(lambda: self.client.read(PODS, f"default/{name}") is None)


async def life(world: World) -> None:
    """A Pod starts, has an address, writes a log, crashes, restarts, stops; print how long each took."""
    loop = asyncio.get_running_loop()
    async with world.kubelet():
        for attempt in range(3):
            began = loop.time()
            await world.create(f"web{attempt}", "echo hello; " + SLEEP)
            await world.until(functools.partial(world.is_ready, f"web{attempt}"))
            print(f"ready {(loop.time() - began) * 1000:.0f} ms")
        assert world.status("web0")["podIP"].startswith("10.199.0.")
        await world.until(lambda: world.log("web0") == ["hello"])
        for attempt in range(3):
            began = loop.time()
            await world.delete(f"web{attempt}")
            print(f"gone {(loop.time() - began) * 1000:.0f} ms")
        await world.create("once", "echo why > /dev/termination-log; exit 3", restartPolicy="Never")
        await world.until(lambda: world.status("once").get("phase") == "Failed")
        ended = world.status("once")["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["message"]) == (3, "why\n"), ended
        await world.delete("once")


async def volumes(world: World) -> None:
    """Volumes hold what they should, sub-paths work, and nothing stays mounted."""
    settings = {"metadata": {"name": "s", "namespace": "default"}, "data": {"k": "value", "other": "x"}}
    await world.client.create(resources.get("configmaps"), settings)
    await world.client.create(resources.get("secrets"), {**settings, "data": {"k": "cHc="}})
    script = (
        "cat /s/k /p/k; echo; cat /one; echo; stat -c %a /memory; stat -c %u:%g /shared; id -G; "
        "cat /etc/hosts | head -1; echo $K $NAME; ls -d /sub; grep -c tmpfs.*memory /proc/mounts; "
    )
    mounts = [
        {"name": "s", "mountPath": "/s"},
        {"name": "p", "mountPath": "/p"},
        {"name": "s", "mountPath": "/one", "subPath": "other"},
        {"name": "memory", "mountPath": "/memory"},
        {"name": "shared", "mountPath": "/shared"},
        {"name": "shared", "mountPath": "/sub", "subPathExpr": "x/$(NAME)"},
    ]
    env = [
        {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "s", "key": "k"}}},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    async with world.kubelet():
        await world.create(
            "vols",
            script + SLEEP,
            container={"volumeMounts": mounts, "env": env},
            securityContext={"fsGroup": 4321},
            volumes=[
                {"name": "s", "configMap": {"name": "s"}},
                {"name": "p", "secret": {"secretName": "s"}},
                {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
                {"name": "shared", "emptyDir": {}},
            ],
        )
        await world.until(lambda: world.is_ready("vols"))
        await world.until(lambda: len(world.log("vols")) >= 9)
        print("\n".join(world.log("vols")))
        await world.delete("vols")
    left = [line for line in Path("/proc/self/mounts").read_text().splitlines() if "/kubelet/" in line]
    assert left == [], left
    assert list((world.config.root / "pods").iterdir()) == []


async def adoption(world: World) -> None:
    """A restarted kubelet keeps what runs and removes what was deleted meanwhile."""
    async with world.kubelet():
        for name in ("kept", "orphan"):
            await world.create(name)
        await world.until(lambda: world.is_ready("kept") and world.is_ready("orphan"))
    before = world.status("kept")["containerStatuses"][0]["containerID"]
    world.client.remove(PODS, "default/orphan")
    async with world.kubelet(), CriClient(world.config.cri_socket) as runtime:
        async with asyncio.timeout(40):
            while len(await runtime.pods()) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        status = world.status("kept")["containerStatuses"][0]
        assert (status["containerID"], status["restartCount"]) == (before, 0)
        assert world.is_ready("kept")
        await world.delete("kept")
        assert await runtime.pods() == {}


async def probes(world: World) -> None:
    """Readiness follows a file; a failing liveness probe restarts the container."""
    container = {
        "readinessProbe": {"exec": {"command": ["cat", "/tmp/ready"]}, "periodSeconds": 1},
        "livenessProbe": {
            "exec": {"command": ["sh", "-c", "test ! -e /tmp/sick"]},
            "periodSeconds": 1,
            "failureThreshold": 1,
        },
    }
    script = "sleep 4; touch /tmp/ready; sleep 3; touch /tmp/sick; " + SLEEP
    async with world.kubelet():
        await world.create("probed", script, container=container)
        await world.until(lambda: world.status("probed").get("phase") == "Running")
        assert not world.is_ready("probed")
        await world.until(lambda: world.is_ready("probed"))
        await world.until(lambda: world.status("probed")["containerStatuses"][0]["restartCount"] >= 1)
        await world.delete("probed")


async def main() -> None:
    scenario, directory, name = sys.argv[1:]
    logging.basicConfig(level=logging.INFO)
    world = World(Path(directory), name)
    await {"life": life, "volumes": volumes, "adoption": adoption, "probes": probes}[scenario](world)


if __name__ == "__main__":
    asyncio.run(main())
