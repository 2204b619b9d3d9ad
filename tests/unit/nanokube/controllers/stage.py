"""A fake server, some controllers, and a hand that plays kubelet: the stage of the workload stories."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from nanokube.api import objects, resources, timestamps
from nanokube.client import events, fake, informer
from nanokube.controllers import env
from nanokube.kit import clock

PODS = resources.get("pods")


def template(*, labels: dict[str, str] | None = None, image: str = "v1", **spec: Any) -> dict[str, Any]:
    """A Pod template of one container."""
    containers = [{"name": "c", "image": image}]
    return {"metadata": {"labels": labels or {"app": "web"}}, "spec": {"containers": containers, **spec}}


class Stage:
    """Holds the fake server, the events and the clock of one story."""

    def __init__(self, *makers: Callable[[env.Env], Any]) -> None:
        self.clock = clock.LoopClock(0.0)
        self.client = fake.FakeClient(time=self.clock)
        self.events = events.ListRecorder()
        self._makers = makers

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        shared = env.Env(self.client, informer.Factory(self.client), self.events, self.clock)
        controllers = [make(shared) for make in self._makers]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(shared.informers.run())]
            tasks += [group.create_task(controller.run()) for controller in controllers]
            await asyncio.sleep(0.1)
            yield
            for task in tasks:
                task.cancel()

    def stamp(self) -> str:
        return timestamps.format_time(self.clock.time())

    def pods(self, **labels: str) -> list[dict[str, Any]]:
        return [pod for pod in self.client.all(PODS) if labels.items() <= dict(objects.labels(pod)).items()]

    def names(self) -> list[str]:
        return sorted(objects.name(pod) for pod in self.client.all(PODS))

    def ready(self, name: str, *, ready: bool = True) -> None:
        """Make a Pod run, ready or not."""
        pod = self._pod(name)
        condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": self.stamp()}
        self.client.put({**pod, "status": {"phase": "Running", "conditions": [condition]}})

    def all_ready(self) -> None:
        for pod in self.client.all(PODS):
            if not objects.is_condition_true(pod, "Ready") and not objects.is_deleting(pod):
                self.ready(objects.name(pod))

    def end(self, name: str, code: int = 0, **status: Any) -> None:
        """Let a Pod's container exit."""
        pod = self._pod(name)
        ended = {"terminated": {"exitCode": code, "finishedAt": self.stamp()}}
        statuses = [{"name": "c", "state": ended, "restartCount": 0}]
        phase = "Failed" if code else "Succeeded"
        self.client.put({**pod, "status": {"phase": phase, "containerStatuses": statuses, **status}})

    def gone(self, name: str) -> None:
        """Finish a graceful deletion, as kubelet does."""
        pod = self._pod(name)
        if objects.finalizers(pod):
            pod["metadata"]["deletionGracePeriodSeconds"] = 0
            self.client.put({**pod, "status": {**pod["status"], "phase": "Failed"}})
        else:
            self.client.remove(PODS, f"ns/{name}")

    def status(self, resource: resources.Resource, key: str) -> dict[str, Any]:
        found = self.client.read(resource, key)
        assert found is not None
        return dict(objects.status(found))

    def _pod(self, name: str) -> dict[str, Any]:
        found = self.client.read(PODS, f"ns/{name}")
        assert found is not None, name
        return found
