"""Graceful shutdown of the node: when the host is about to go down, Pods are ended first, in order.

    logind: PrepareForShutdown(true) ─> Node not Ready, no new Pods ─> ordinary Pods ─> critical Pods ─> go on
            PrepareForShutdown(false): it was called off ─> Ready again; Pods that were ended stay ended

A restart of the agent or of its service is none: only the host's word ends Pods.
Source: KEP-2000; pkg/kubelet/nodeshutdown/nodeshutdown_manager.go.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Final, Never, Protocol

from nanokube.kit import tasks
from nanokube.kubelet.config import KubeletConfig
from nanokube.kubelet.status.generate import Verdict

log = logging.getLogger(__name__)

Object = Mapping[str, Any]

CRITICAL_PRIORITY: Final = 2_000_000_000  # system-cluster-critical and above
RETRY_S: Final = 30.0
TERMINATED: Final = Verdict(
    "Failed",
    "Terminated",
    "Pod was terminated in response to imminent node shutdown.",
    is_disruption=True,
)
REFUSED: Final = Verdict("Failed", "NodeShutdown", "Pod was rejected as the node is shutting down.")
NOT_READY: Final = "node is shutting down"


class Worker(Protocol):
    """What runs a Pod: a PodWorker."""

    pod: Object

    def terminate(self, verdict: Verdict, grace_s: float) -> None:
        """Begin to end the Pod, in grace_s at most."""
        ...

    async def ended(self) -> None:
        """Wait until the Pod has ended and the API knows."""
        ...


class Host(Protocol):
    """The host's own shutdown."""

    async def watch(self, needed_s: float, act: Callable[[bool], Awaitable[None]]) -> None:
        """Hold shutdowns back, needed_s at most; await act(True) when one begins, act(False) if called off.

        Ends by cancellation, or with OSError: the host offers no such thing, or has ceased to.
        """
        ...

    def proceed(self) -> None:
        """Let the shutdown go on."""
        ...


def groups(config: KubeletConfig, workers: Iterable[Worker]) -> list[tuple[float, list[Worker]]]:
    """Return who ends together, in order, and the seconds that each group has. Pure."""
    ordinary: list[Worker] = []
    critical: list[Worker] = []
    for worker in workers:
        is_critical = (worker.pod["spec"].get("priority") or 0) >= CRITICAL_PRIORITY
        (critical if is_critical else ordinary).append(worker)
    last_s = config.shutdown_grace_critical_s
    return [(config.shutdown_grace_s - last_s, ordinary), (last_s, critical)]


class Shutdown:
    """Ends Pods when the host goes down. close: called with what new Pods are told, None to let them in.

    workers: those that run Pods now. say: makes the Node not Ready for a reason, or Ready again ("").
    tell: makes an event of the Node.
    """

    def __init__(
        self,
        config: KubeletConfig,
        host: Host,
        workers: Callable[[], Iterable[Worker]],
        close: Callable[[Verdict | None], None],
        say: Callable[[str], Coroutine[Any, Any, None]],
        tell: Callable[[str], None],
    ) -> None:
        self._config = config
        self._host = host
        self._workers = workers
        self._close = close
        self._say = say
        self._tell = tell

    async def run(self) -> Never:
        """Wait for the host to go down, until cancelled."""
        known = ""
        while True:
            try:
                await self._host.watch(self._config.shutdown_grace_s, self.act)
            except OSError as error:
                if str(error) != known:  # a host without logind is told of once
                    known = str(error)
                    log.warning("shutdowns of the host are not waited for: error=%s", tasks.describe(error))
            except Exception:
                log.exception("shutdown failed")
            tasks.recover()  # from the group that has failed
            await asyncio.sleep(RETRY_S)

    async def act(self, is_going_down: bool) -> None:
        """Do what the begin of a shutdown, or its end, asks for."""
        what = "event" if is_going_down else "cancellation"
        log.info("shutdown %s", "begins" if is_going_down else "called off")
        self._tell(f"Shutdown manager detected shutdown {what}")
        self._close(REFUSED if is_going_down else None)
        async with asyncio.TaskGroup() as group:
            saying = group.create_task(self._say(NOT_READY if is_going_down else ""), name="node status")
            if is_going_down:
                try:
                    await self._end_pods()
                finally:
                    saying.cancel()  # the API may be out of reach: the host does not wait for it
                    self._host.proceed()

    async def _end_pods(self) -> None:
        for seconds, members in groups(self._config, self._workers()):
            for worker in members:
                worker.terminate(TERMINATED, seconds)
            try:
                async with asyncio.timeout(seconds if members else None):
                    await tasks.all_of(*(worker.ended() for worker in members))
            except TimeoutError:
                log.warning("pods still end: count=%d after_s=%.0f", len(members), seconds)
        log.info("pods ended, the host may go down")
