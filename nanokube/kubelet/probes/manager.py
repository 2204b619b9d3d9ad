"""The probes of one Pod: a task for each probe of each running container."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from nanokube.client.events import Recorder, reference_to
from nanokube.kit import clock
from nanokube.kubelet.actions import Outcome
from nanokube.kubelet.images import field_path
from nanokube.kubelet.podview import PodView, State
from nanokube.kubelet.probes.results import Kind, Results, Verdict
from nanokube.kubelet.probes.worker import FIELDS, Target, watch
from nanokube.kubelet.runtime import Runtime

Object = Mapping[str, Any]


class Probers:
    """Starts and ends probe tasks as containers come and go."""

    def __init__(self, runtime: Runtime, results: Results, recorder: Recorder, time: clock.Clock) -> None:
        self._runtime = runtime
        self._results = results
        self._recorder = recorder
        self._clock = time
        self._tasks: dict[tuple[str, Kind], asyncio.Task[None]] = {}

    def adopt(self, pod: Object) -> None:
        """Take over the verdicts the API shows, so that a restarted kubelet does not unready its Pods."""
        status = pod.get("status") or {}
        for shown in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
            container_id = (shown.get("containerID") or "").rpartition("//")[2]
            if not container_id or "running" not in (shown.get("state") or {}):
                continue
            if shown.get("started"):
                self._results.set(container_id, Kind.STARTUP, Verdict.SUCCESS)
            if shown.get("ready"):
                self._results.set(container_id, Kind.READINESS, Verdict.SUCCESS)

    def reconcile(
        self, group: asyncio.TaskGroup, pod: Object, view: PodView, starting: frozenset[str]
    ) -> None:
        """Run exactly the probes that running containers ask for."""
        running: set[str] = set()
        spec = pod["spec"]
        pod_ip = view.ips[0] if view.ips else (pod.get("status") or {}).get("hostIP") or "127.0.0.1"
        for container in (*spec["containers"], *(spec.get("initContainers") or ())):
            latest = view.latest(container["name"])
            if latest is None or latest.state is not State.RUNNING or latest.id in starting:
                continue
            running.add(latest.id)
            target = Target(container, latest.id, pod_ip, latest.started_at / 1e9)
            for kind, field in FIELDS.items():
                key = (latest.id, kind)
                done = kind is Kind.STARTUP and self._results.get(*key) is Verdict.SUCCESS
                if container.get(field) and key not in self._tasks and not done:
                    self._tasks[key] = group.create_task(self._watch(pod, target, kind))
        for container_id in {key[0] for key in self._tasks} - running:
            self._end(container_id)
            self._results.forget(container_id)

    async def _watch(self, pod: Object, target: Target, kind: Kind) -> None:
        about = reference_to(pod, field_path=field_path(pod, target.container["name"]))

        def tell(kind: Kind, outcome: Outcome) -> None:
            if outcome.result == "warning":
                message = f"{kind} probe warning: {outcome.output}"
                self._recorder.event(about, "Warning", "ProbeWarning", message)
                return
            word = "failed" if outcome.result == "failure" else "errored"
            message = f"{kind} probe {word}: {outcome.output}"
            self._recorder.event(about, "Warning", "Unhealthy", message)

        await watch(target, kind, self._runtime, self._results, tell, self._clock.time)

    def stop(self, kinds: Collection[Kind] = tuple(Kind)) -> None:
        """End every probe of these kinds; verdicts stay."""
        for key in [key for key in self._tasks if key[1] in kinds]:
            self._tasks.pop(key).cancel()

    def _end(self, container_id: str) -> None:
        for key in [key for key in self._tasks if key[0] == container_id]:
            self._tasks.pop(key).cancel()
