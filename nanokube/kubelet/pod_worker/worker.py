"""One Pod's life on this node: observe, plan, act, publish; one task a Pod UID.

    syncing --(completed, deadline, terminal in the API)--> ending --> settled (status final, logs kept)
       |                                                                  |
       `--(deleted, removed from the API)--> ending --> done <------------'

Level-based: whatever wakes the worker, it looks at spec and runtime and does what is missing.
Source: pkg/kubelet/kubelet.go SyncPod, SyncTerminatingPod, SyncTerminatedPod; pkg/kubelet/pod_workers.go.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cri.api import runtime_pb2 as pb
from nanokube.api import errors, resources, timestamps
from nanokube.client.events import reference_to
from nanokube.kit import backoff, tasks
from nanokube.kubelet import hooks, metrics
from nanokube.kubelet.containers import labels, security
from nanokube.kubelet.images import field_path
from nanokube.kubelet.pod_worker import files, messages, race, sandbox, start, stop
from nanokube.kubelet.pod_worker.env import Env
from nanokube.kubelet.pod_worker.plan import Kill, Plan, backoff_key, last_exit, plan
from nanokube.kubelet.pod_worker.resizing import Resizing, rank
from nanokube.kubelet.pod_worker.waiting import Waiting
from nanokube.kubelet.podview import PodView
from nanokube.kubelet.probes.manager import Probers
from nanokube.kubelet.probes.results import ENDING_A_CONTAINER, Results
from nanokube.kubelet.runtime import RuntimeFault
from nanokube.kubelet.status.containers import Observed, Reason
from nanokube.kubelet.status.generate import Verdict, generate, rejected
from nanokube.kubelet.volumes.errors import VolumeFault
from nanokube.kubelet.volumes.manager import WRITTEN, kind_of
from nanokube.kubelet.volumes.ready import Ready

log = logging.getLogger(__name__)

Object = Mapping[str, Any]
PODS = resources.get("pods")
TERMINAL = ("Succeeded", "Failed")
RESYNC_S = 60.0
REFRESH_S = 30.0
FAULTS = (RuntimeFault, errors.ApiError, VolumeFault, OSError, ExceptionGroup)


class PodWorker:
    """Runs one Pod. found: what the runtime has of it already; None if it is known to have nothing.

    pod: with the resources it was allocated, which is what runs. desired: as the API has it.
    freed: called when the Pod begins to hold less of the node than before.
    """

    def __init__(
        self,
        env: Env,
        pod: Object,
        *,
        found: PodView | None = None,
        refusal: Verdict | None = None,
        freed: Callable[[], None] = lambda: None,
    ) -> None:
        self.resizing = Resizing(env, pod, found)
        self.desired = _typed(pod)
        self.pod = self.resizing.granted(self.desired)
        self.uid: str = pod["metadata"]["uid"]
        self.key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        self.view = PodView(self.uid)
        self.done = False
        self.refusal = refusal
        self._env = env
        self._is_fresh = found is None
        self._freed = freed
        self._wake = asyncio.Event()
        self._ending = asyncio.Event()
        self._sooner = asyncio.Event()
        self._removed = False
        self._completed = False
        self._settled = asyncio.Event()
        self._verdict: Verdict | None = None
        self._most_grace_s = float("inf")
        self._results = Results(self.wake)
        self._probers = Probers(env.runtime, self._results, env.recorder, env.clock)
        self._probers.adopt(pod)
        self._waiting = Waiting(env)
        self._starting: set[str] = set()
        self._messages: dict[str, str] = {}
        self._volumes: dict[str, Ready] | None = None
        self._refresh_at = 0.0
        self._resync_at = env.clock.time() + RESYNC_S
        self._accepted_at = env.clock.time()
        self._faults = backoff.Backoff(first_s=0.5, cap_s=10.0)
        self._note_ending()

    # What others tell it.

    def update(self, pod: Object) -> None:
        """Take a newer version of the Pod."""
        before, self.desired = self.desired, _typed(pod)
        self.pod = self.resizing.granted(self.desired)
        if stop.grace_period(pod) < stop.grace_period(before):
            self._sooner.set()
        if before["metadata"].get("annotations") != pod["metadata"].get("annotations") or (
            before["metadata"].get("labels") != pod["metadata"].get("labels")
        ):
            self._refresh_at = 0.0
        self._note_ending()
        self.wake()

    def remove(self) -> None:
        """The Pod is gone from the API: stop it and leave nothing."""
        self._removed = True
        self._note_ending()
        self.wake()

    def terminate(self, verdict: Verdict, grace_s: float) -> None:
        """End the Pod for the node's sake, in grace_s at most; one that ends already keeps its own reason."""
        if not self._ending.is_set():
            self._verdict = verdict
        self._most_grace_s = grace_s
        self._sooner.set()
        self._ending.set()
        self.wake()

    async def ended(self) -> None:
        """Wait until the Pod has ended and the API knows."""
        await self._settled.wait()
        await self._env.statuses.flush(self.uid)

    def wake(self) -> None:
        """Look again soon."""
        self._wake.set()

    def wants_resize(self) -> bool:
        """Tell whether the Pod waits for other resources than it was allocated."""
        return not self._ending.is_set() and self.resizing.wants(self.desired)

    def resize_rank(self) -> tuple[bool, int, bool, str]:
        """Order this Pod among those that wait for a resize."""
        return rank(self.desired, self.pod, self.resizing.pending_since())

    def answer_resize(self, refusal: Verdict | None) -> None:
        """Give the Pod what it wants, or say why not."""
        before = self.resizing.conditions()
        if refusal is None:
            self.resizing.grant(self.desired)
            self.pod = self.resizing.granted(self.desired)
        else:
            self.resizing.refuse(self.desired, refusal.reason, refusal.message)
        if self.resizing.conditions() != before:
            self.wake()

    @property
    def holds_resources(self) -> bool:
        """Tell whether the Pod counts against what the node can give.

        One gone from the API does not, though it may still end: the scheduler has given its place away.
        Source: pkg/kubelet/kubelet.go, HandlePodRemoves; kubelet_pods.go, GetActivePods.
        """
        if self._removed or self._settled.is_set():
            return False
        return self.refusal is None and not self._is_terminal_in_api()

    def _is_terminal_in_api(self) -> bool:
        return (self.pod.get("status") or {}).get("phase") in TERMINAL

    def _note_ending(self) -> None:
        deleted = bool(self.pod["metadata"].get("deletionTimestamp")) or self._removed
        if deleted or self._is_terminal_in_api() or self.refusal or self._verdict or self._completed:
            self._ending.set()

    # The loop.

    async def run(self) -> None:
        """Live until nothing of the Pod is left."""
        async with asyncio.TaskGroup() as group:
            while not self.done:
                self._wake.clear()
                delay_s = await self._step(group)
                if self.done:
                    break
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay_s):
                        await self._wake.wait()
            self._probers.stop()

    async def _step(self, group: asyncio.TaskGroup) -> float:
        """Sync once; return how long nothing needs to happen by itself."""
        try:
            delay_s = await self._sync(group)
        except race.Interrupted:
            return 0.0
        except FAULTS as fault:
            delay_s = self._faults.next()
            log.info("pod not synced: pod=%s error=%s", self.key, tasks.describe(fault))
            return delay_s
        except Exception:
            log.exception("pod worker failed: pod=%s uid=%s", self.key, self.uid)
            return self._faults.next()
        self._faults.reset()
        return delay_s

    async def _sync(self, group: asyncio.TaskGroup) -> float:
        await self._observe()
        self._check_deadline()
        if self._ending.is_set():
            return await self._end()
        restarts = self.resizing.restarts(self.pod, self.view)
        todo = self._waiting.without_held(
            plan(self.pod, self.view, self._results, self._env.backoffs, self._env.clock.time(), restarts)
        )
        is_resize = self.resizing.is_due(self.pod, self.view)
        self._waiting.note_delays(self.pod, todo)
        self._publish()
        if todo.is_idle and not is_resize:
            self._probers.reconcile(group, self.pod, self.view, frozenset(self._starting))
            await self._refresh()
            await self._collect()
            self._resync_status()
            return self._next_delay(todo)
        await self._act(todo)
        return min(0.05, self._next_delay(todo)) if self._waiting.is_any_held else 0.0

    async def _observe(self) -> None:
        if self._is_fresh:
            self._is_fresh = False
            return
        view = await self._env.runtime.pod(self.uid)
        self.view = await asyncio.to_thread(messages.with_messages, view, self._messages)

    def _check_deadline(self) -> None:
        """End a Pod whose activeDeadlineSeconds have passed."""
        if self._deadline() <= self._env.clock.time() and not self._ending.is_set():
            message = "Pod was active on the node longer than the specified deadline"
            self._verdict = Verdict("Failed", "DeadlineExceeded", message)
            self._env.recorder.event(reference_to(self.pod), "Normal", "DeadlineExceeded", message)
            self._ending.set()

    def _deadline(self) -> float:
        seconds = self.pod["spec"].get("activeDeadlineSeconds")
        shown = self._known_status().get("startTime")
        return timestamps.parse(shown) + seconds if seconds and shown else float("inf")

    def _next_delay(self, todo: Plan) -> float:
        now = self._env.clock.time()
        moments = [self._deadline(), now + RESYNC_S, *(delay.until for delay in todo.delayed)]
        moments.extend(self._waiting.moments())
        if self._follows_api():
            moments.append(self._refresh_at)
        return max(0.01, min(moments) - now)

    # Acting.

    async def _act(self, todo: Plan) -> None:
        if todo.kill_pod:
            self._probers.stop()
            await self._stop_all()
            if not todo.create_sandbox:
                self._completed = True
                self._ending.set()
                return
            await self._observe()
        is_resize = self.resizing.is_due(self.pod, self.view)
        for kill in todo.kill:
            await self._kill(kill)
        sandbox_id = todo.sandbox_id
        if is_resize and not todo.create_sandbox:
            await self._observe()
            await self.resizing.actuate(self.pod, self.view, sandbox_id)
        if todo.create_sandbox or todo.init or todo.start or todo.ephemeral:
            await self._set_up_volumes()
        if todo.create_sandbox:
            sandbox_id = await self._create_sandbox(todo.attempt)
        config, view = await sandbox.configuration(self._env, self.pod, todo.attempt), self.view
        await self._env.attached(self.pod, self.view.ips)
        for name in (*todo.ephemeral, *todo.init, *todo.start):
            await self._start(name, sandbox_id, config, view)

    async def _kill(self, kill: Kill) -> None:
        container = stop.container_spec(self.pod, kill.container.name) or {}
        grace_s = stop.grace_period(self.pod) if kill.has_grace else 0.0
        field = {"Unhealthy": "livenessProbe", "StartupUnhealthy": "startupProbe"}.get(kill.reason, "")
        own = (container.get(field) or {}).get("terminationGracePeriodSeconds")
        await stop.stop_container(
            self._env,
            self.pod,
            kill.container,
            message=kill.message,
            grace_s=float(own) if own is not None else grace_s,
            pod_ips=self.view.ips,
        )

    async def _set_up_volumes(self) -> None:
        if self._volumes is not None:
            return
        try:
            self._volumes = await race.unless(self._ending, self._env.volumes.set_up(self.pod, self.view.ips))
        except (VolumeFault, errors.ApiError, OSError) as error:
            reason = error.reason if isinstance(error, VolumeFault) else VolumeFault.reason
            self._env.recorder.event(reference_to(self.pod), "Warning", reason, str(error))
            raise
        self._refresh_at = self._env.clock.time() + REFRESH_S * (1 + random.random() / 4)

    async def _create_sandbox(self, attempt: int) -> str:
        handler = await sandbox.handler(self._env, self.pod)
        metrics.count_pod(self.pod)
        try:
            if security.has_own_users(self.pod):
                security.check_own_users(await self._env.runtime.status(), handler)
            config = await sandbox.configuration(self._env, self.pod, attempt)
            await asyncio.to_thread(files.make_directory, config.log_directory)
            sandbox_id = await self._env.runtime.run_sandbox(config, handler)
            await asyncio.to_thread(self.resizing.limit, self.pod)
        except RuntimeFault as fault:
            metrics.count_pod_fault(self.pod)
            message = f"Failed to create pod sandbox: {fault.message}"
            about = reference_to(self.pod)
            self._env.recorder.event(about, "Warning", "FailedCreatePodSandBox", message)
            raise
        await self._observe()
        self._publish()
        return sandbox_id

    async def _start(self, name: str, sandbox_id: str, config: pb.PodSandboxConfig, view: PodView) -> None:
        container = stop.container_spec(self.pod, name)
        assert container is not None
        ended = last_exit(self.view, name)
        key = backoff_key(self.pod, name)
        metrics.count_container(self.pod, name)
        work = start.start(
            self._env, self.pod, container, view, sandbox_id, config, self._volumes or {}, self._ips()
        )
        try:
            container_id = await race.unless(self._ending, work)
        except start.StartFault as fault:
            metrics.count_container_fault(self.pod, name, fault.reason)
            if ended and fault.reason == "RunContainerError":  # it left a container that ended
                self._env.backoffs.next(key, ended, self._env.clock.time())
            self._waiting.hold(name, fault)
            return
        if ended:
            self._env.backoffs.next(key, ended, self._env.clock.time())
        self._waiting.forget(name)
        if hook := (container.get("lifecycle") or {}).get("postStart"):
            await self._post_start(container, container_id, hook)

    async def _post_start(self, container: Object, container_id: str, hook: Object) -> None:
        self._starting.add(container_id)
        ips = self._ips()
        try:
            outcome = await race.unless(
                self._ending,
                hooks.run(
                    self._env.runtime,
                    hook,
                    container,
                    container_id,
                    ips[0] if ips else self._env.config.first_ip,
                ),
            )
        finally:
            self._starting.discard(container_id)
        if outcome.is_success:
            return
        name = container["name"]
        about = reference_to(self.pod, field_path=field_path(self.pod, name))
        self._env.recorder.event(about, "Warning", "FailedPostStartHook", "PostStartHook failed")
        await self._observe()
        latest = self.view.latest(name)
        if latest is not None and latest.id == container_id:
            await stop.stop_container(
                self._env,
                self.pod,
                latest,
                message="FailedPostStartHook",
                grace_s=stop.grace_period(self.pod),
                pod_ips=ips,
            )
        self._waiting.reasons[name] = Reason("PostStartHookError", outcome.output)

    def _ips(self) -> Sequence[str]:
        if self.pod["spec"].get("hostNetwork"):
            return self._env.config.node_ips
        return self.view.ips

    # Upkeep.

    def _follows_api(self) -> bool:
        return any(kind_of(volume) in WRITTEN for volume in self.pod["spec"].get("volumes") or ())

    async def _refresh(self) -> None:
        """Bring volumes up to date; those of an adopted Pod are looked up first."""
        now = self._env.clock.time()
        if now < self._refresh_at or not self._follows_api():
            return
        self._refresh_at = now + REFRESH_S * (1 + random.random() / 4)
        try:
            await self._env.volumes.refresh(self.pod, self.view.ips)
        except (VolumeFault, errors.ApiError, OSError) as error:
            log.debug("volumes not refreshed: pod=%s error=%s", self.key, tasks.describe(error))

    async def _collect(self) -> None:
        """Remove all dead attempts of a container but the newest, and sandboxes that are of no use."""
        names = {container.name for container in self.view.containers}
        for name in names:
            dead = [c for c in self.view.attempts(name) if c.state.value == "exited"]
            for old in dead[1:]:
                await self._env.runtime.remove_container(old.id)
                self._messages.pop(old.id, None)
                await asyncio.to_thread(files.unlink, old.annotations.get(labels.TERMINATION_FILE, ""))
        used = {container.sandbox_id for container in self.view.containers}
        for former in self.view.sandboxes[1:]:
            if not former.is_ready and former.id not in used:
                await self._env.runtime.remove_sandbox(former.id)

    def _resync_status(self) -> None:
        """Restore a status that others overwrote; after a while, for our own writes take time to return."""
        now = self._env.clock.time()
        if now >= self._resync_at:
            self._resync_at = now + RESYNC_S
            self._env.statuses.resync(self.pod)

    # Ending.

    async def _end(self) -> float:
        """Stop everything, say so, and with a deleted Pod remove every trace."""
        leaving = bool(self.pod["metadata"].get("deletionTimestamp")) or self._removed
        if self._settled.is_set() and not leaving:
            return RESYNC_S * 60
        self._probers.stop(ENDING_A_CONTAINER)
        self._waiting.reasons.clear()
        self.resizing.end()
        if not self.view.is_stopped:
            self._publish()
            await self._stop_all()
            await self._observe()
            if self.view.running:
                raise OSError("containers still run after they were stopped")
        self._probers.stop()
        self._publish(is_final=True)
        await self._env.volumes.tear_down(self.uid)
        await asyncio.to_thread(self._env.user_namespaces.release, self.uid)
        self._env.references.forget(self.uid)
        if leaving:
            await self._leave()
        self._settled.set()
        self._freed()
        return RESYNC_S * 60

    async def _stop_all(self) -> None:
        """Stop all containers; begin again with less time when the grace period is shortened meanwhile."""
        while True:
            self._sooner.clear()
            grace_s = max(min(stop.grace_period(self.pod), self._most_grace_s), 1.0)
            try:
                work = stop.stop_all(self._env, self.pod, self.view, grace_s)
                await race.unless(self._sooner, race.telling(self._results.flipped, self._publish, work))
            except race.Interrupted:
                continue
            return

    async def _leave(self) -> None:
        """Remove what the runtime keeps, then the API object."""
        if not self._removed:
            await self._env.statuses.flush(self.uid)
        await stop.remove_all(self._env, self.view)
        meta = self.pod["metadata"]
        if not self._removed:
            try:
                await self._env.client.delete(
                    PODS, meta["name"], meta["namespace"], grace_period_s=0, uid=self.uid
                )
            except errors.ApiError as error:
                if error.code not in (404, 409):
                    raise
        self._env.statuses.forget(self.uid)
        self._env.images.forget(self.uid)
        self._env.backoffs.forget(f"{self.uid}/")
        directory = self._env.config.pod_log_directory(meta["namespace"], meta["name"], self.uid)
        await asyncio.to_thread(files.remove_tree, str(directory))
        log.info("pod gone: pod=%s uid=%s", self.key, self.uid)
        self.done = True

    # Telling.

    def _known_status(self) -> dict[str, Any]:
        """Merge the API's status and ours, which may be newer; conditions of others are the API's."""
        shown = self.pod.get("status") or {}
        ours = self._env.statuses.get(self.uid)
        if ours is None:
            return dict(shown)
        types = {condition["type"] for condition in ours.get("conditions") or ()}
        foreign = [c for c in shown.get("conditions") or () if c["type"] not in types]
        merged = {**shown, **ours, "conditions": [*(ours.get("conditions") or ()), *foreign]}
        if shown.get("phase") in TERMINAL:
            merged["phase"] = shown["phase"]
        return merged

    def _publish(self, *, is_final: bool = False) -> None:
        if self._removed:
            return
        env, now = self._env, self._env.clock.time()
        if self.refusal is not None:
            env.statuses.set(self.pod, rejected(self.pod, self.refusal, now))
            return
        if self._is_terminal_in_api() and not self.view.containers:
            return  # it ended before this kubelet knew it
        status = generate(
            {**self.pod, "status": self._known_status()},
            Observed(
                self.view,
                self._results,
                dict(self._waiting.reasons),
                frozenset(self._starting),
                self.resizing.conditions(),
            ),
            host_ips=env.config.node_ips,
            start_time=self._accepted_at,
            now=now,
            verdict=self._verdict,
            is_terminal=is_final,
        )
        env.statuses.set(self.pod, status)


def _typed(pod: Object) -> Object:
    """Name a Pod's kind, which items of a list do not; events refer to it."""
    return {"apiVersion": "v1", "kind": "Pod", **pod}
