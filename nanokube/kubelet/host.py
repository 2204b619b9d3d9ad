"""The kubelet as its HTTPS server sees it: implements nanokube.kubelet.server.host.Host."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cri.api import runtime_pb2 as pb
from nanokube.kubelet import metrics, stats
from nanokube.kubelet.agent import Agent
from nanokube.kubelet.node import facts
from nanokube.kubelet.node.register import NodeReporter
from nanokube.kubelet.pod_worker.env import Env
from nanokube.kubelet.pod_worker.stop import container_spec
from nanokube.kubelet.pod_worker.worker import PodWorker
from nanokube.kubelet.podview import ContainerView, State
from nanokube.kubelet.runtime import FaultKind, RuntimeFault
from nanokube.kubelet.server.host import HostError, LogSource
from nanokube.kubelet.volumes.errors import VolumeFault

Object = Mapping[str, Any]

_LEAST_WINDOW_S = 1.0  # /proc/stat counts in ticks of 10 ms
_STATUSES = {FaultKind.NOT_FOUND: 404, FaultKind.UNAVAILABLE: 503, FaultKind.TIMEOUT: 504}


class KubeletHost:
    """Answers the server from the workers and the runtime."""

    def __init__(self, env: Env, agent: Agent, reporter: NodeReporter) -> None:
        self._env = env
        self._agent = agent
        self._reporter = reporter
        self._started_at = env.clock.time()
        self._cpu: tuple[int, float] | None = None  # the reading that the next is compared with
        self._rate: int | None = None
        metrics.NODE.labels(env.config.node_name).set(1)
        metrics.RUNNING_PODS.set_function(
            lambda: sum(worker.view.ready_sandbox is not None for worker in agent.workers.values())
        )
        metrics.RUNNING_CONTAINERS.labels("running").set_function(
            lambda: sum(len(worker.view.running) for worker in agent.workers.values())
        )

    def pods(self) -> Sequence[Object]:
        return [self._shown(worker) for worker in self._agent.workers.values()]

    def pod(self, namespace: str, name: str) -> Object | None:
        worker = self._agent.pod(namespace, name)
        return self._shown(worker) if worker is not None else None

    def _shown(self, worker: PodWorker) -> Object:
        status = self._env.statuses.get(worker.uid)
        return worker.pod if status is None else {**worker.pod, "status": status}

    async def log_source(self, pod: Object, container: str, *, previous: bool) -> LogSource:
        name = pod["metadata"]["name"]
        attempts = [c for c in await self._attempts(pod, container) if c.state is not State.CREATED]
        if previous:
            older = self._previous(pod, container, attempts)
            if older is None:
                raise HostError(400, f'previous terminated container "{container}" in pod "{name}" not found')
            return self._source(older)
        if not attempts:
            raise HostError(
                400,
                f'container "{container}" in pod "{name}" is waiting to start: '
                f"{self._waiting(pod, container)}",
            )
        return self._source(attempts[0])

    def _previous(
        self, pod: Object, container: str, attempts: Sequence[ContainerView]
    ) -> ContainerView | None:
        """Find the instance before the current one; while a container waits, its last death is that."""
        dead = [view for view in attempts if view.state is State.EXITED]
        if dead and dead[0] is attempts[0] and not self._state(pod, container).get("waiting"):
            dead = dead[1:]
        return dead[0] if dead else None

    def _source(self, view: ContainerView) -> LogSource:
        return LogSource(view.id, Path(view.log_path))

    def _waiting(self, pod: Object, container: str) -> str:
        waiting = self._state(pod, container).get("waiting") or {}
        return str(waiting.get("message") or waiting.get("reason") or "ContainerCreating")

    def _state(self, pod: Object, container: str) -> Object:
        """Return the state that a container's status shows."""
        status = self._env.statuses.get(pod["metadata"]["uid"]) or pod.get("status") or {}
        for field in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
            for shown in status.get(field) or ():
                if shown["name"] == container:
                    return dict(shown.get("state") or {})
        return {}

    async def _attempts(self, pod: Object, container: str) -> list[ContainerView]:
        if container_spec(pod, container) is None:
            message = f"container {container} is not valid for pod {pod['metadata']['name']}"
            raise HostError(400, message)
        try:
            view = await self._env.runtime.pod(pod["metadata"]["uid"])
        except RuntimeFault as fault:
            raise _host_error(fault) from fault
        return list(view.attempts(container))

    async def is_running(self, container_id: str) -> bool:
        for worker in self._agent.workers.values():
            if any(c.id == container_id for c in worker.view.containers):
                view = await self._env.runtime.pod(worker.uid)
                return any(c.id == container_id and c.is_running for c in view.containers)
        return False

    async def running_container(self, pod: Object, container: str) -> str:
        if container_spec(pod, container) is None:
            raise HostError(404, f'container not found ("{container}")')
        for view in await self._attempts(pod, container):
            if view.is_running:
                return view.id
        raise HostError(400, f'container "{container}" in pod "{pod["metadata"]["name"]}" is not running')

    async def exec_url(
        self, container_id: str, argv: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> str:
        request = pb.ExecRequest(
            container_id=container_id, cmd=argv, tty=tty, stdin=stdin, stdout=stdout, stderr=stderr
        )
        try:
            return await self._env.runtime.exec_url(request)
        except RuntimeFault as fault:
            raise _host_error(fault) from fault

    async def attach_url(
        self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> str:
        request = pb.AttachRequest(
            container_id=container_id, tty=tty, stdin=stdin, stdout=stdout, stderr=stderr
        )
        try:
            return await self._env.runtime.attach_url(request)
        except RuntimeFault as fault:
            raise _host_error(fault) from fault

    async def port_forward_url(self, pod: Object, ports: Sequence[int]) -> str:
        try:
            view = await self._env.runtime.pod(pod["metadata"]["uid"])
            sandbox = view.ready_sandbox
            if sandbox is None:
                name = pod["metadata"]["name"]
                raise HostError(404, f"unable to do port forwarding: pod {name} is not running")
            return await self._env.runtime.port_forward_url(
                pb.PortForwardRequest(pod_sandbox_id=sandbox.id, port=ports)
            )
        except RuntimeFault as fault:
            raise _host_error(fault) from fault

    async def make_volume(self, name: str) -> str:
        return str(await self._volume(self._env.volumes.directories.make, name))

    async def remove_volume(self, name: str) -> None:
        await self._volume(self._env.volumes.directories.remove, name)

    async def _volume(self, work: Callable[[str], Path | None], name: str) -> Path | None:
        try:
            return await asyncio.to_thread(work, name)
        except VolumeFault as fault:
            raise HostError(409, str(fault)) from fault
        except OSError as error:
            raise HostError(500, str(error)) from error

    async def stats_summary(self) -> Object:
        try:
            pods = await self._env.runtime.pod_stats()
        except RuntimeFault as fault:
            raise _host_error(fault) from fault
        used, now = facts.usage(), self._env.clock.time()
        return stats.summary(
            self._env.config.node_name,
            self._reporter.facts,
            used,
            pods,
            self._started_at,
            now,
            cpu_nanocores=self._cpu_rate(used.cpu_ns, now),
        )

    def _cpu_rate(self, cpu_ns: int, now: float) -> int | None:
        """Return the nanocores used since somebody last asked, some seconds ago."""
        before, self._cpu = self._cpu, self._cpu or (cpu_ns, now)
        if before is None or now - before[1] < _LEAST_WINDOW_S:
            return self._rate
        self._cpu, self._rate = (cpu_ns, now), int((cpu_ns - before[0]) / (now - before[1]))
        return self._rate


def _host_error(fault: RuntimeFault) -> HostError:
    return HostError(_STATUSES.get(fault.kind, 500), fault.message)
