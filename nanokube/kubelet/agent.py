"""All Pods of the node: gives each its worker, wakes it, and cleans up what belongs to none.

Source: pkg/kubelet/kubelet.go syncLoopIteration, HandlePodCleanups; pkg/kubelet/pleg.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, Never

from nanokube.client.events import reference_to
from nanokube.client.informer import Change, Informer
from nanokube.kubelet import admission, pod_cgroups
from nanokube.kubelet.containers import labels
from nanokube.kubelet.pod_worker.env import Env
from nanokube.kubelet.pod_worker.worker import TERMINAL, PodWorker
from nanokube.kubelet.podview import PodView
from nanokube.kubelet.runtime import FaultKind, RuntimeFault
from nanokube.kubelet.status.generate import Verdict

log = logging.getLogger(__name__)

Object = Mapping[str, Any]
EVENT_RETRY_S = 1.0
BLIND_RELIST_S = 1.0  # where the runtime cannot stream events


class Agent:
    """Owns the workers. pods: informer of this node's Pods. node: gives the Node, for admission."""

    def __init__(self, env: Env, pods: Informer, node: Callable[[], Object]) -> None:
        self.workers: dict[str, PodWorker] = {}
        self._env = env
        self._pods = pods
        self._node = node
        self._group: asyncio.TaskGroup | None = None
        self._closed: Verdict | None = None
        self._seen: dict[str, PodView] = {}
        self._relist_s = env.config.relist_s

    async def run(self) -> Never:
        """Run Pods until cancelled. The informer must run beside it."""
        await self._pods.synced.wait()
        self._seen = await self._first_look()
        async with asyncio.TaskGroup() as group:
            self._group = group
            # Older Pods first: they were admitted first before a restart, too.
            for pod in sorted(self._pods.list(), key=lambda p: p["metadata"].get("creationTimestamp") or ""):
                self._on_pod("ADDED", None, pod)
            self._pods.subscribe(self._on_pod)
            self._adopt_orphans()
            group.create_task(self._listen())
            group.create_task(self._relist())
            await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def _first_look(self) -> dict[str, PodView]:
        while True:
            try:
                return await self._env.runtime.pods()
            except RuntimeFault as fault:
                log.warning("runtime not answering: error=%s", fault.message)
            await asyncio.sleep(EVENT_RETRY_S)

    def close(self, refusal: Verdict | None) -> None:
        """Refuse all new Pods for a reason; None: let them in again."""
        self._closed = refusal

    def _on_pod(self, change: Change, old: dict[str, Any] | None, pod: dict[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        worker = self.workers.get(uid)
        if change == "DELETED":
            if worker is not None:
                worker.update(pod)
                worker.remove()
                self._resize()
        elif worker is not None:
            worker.update(pod)
            self._resize()
        else:
            self._begin(pod)
            self._resize()

    def _begin(self, pod: dict[str, Any]) -> None:
        """Give a Pod its worker. A new one must fit this node; who ran here before is taken as it is."""
        uid = pod["metadata"]["uid"]
        is_known = uid in self._seen
        over = (pod.get("status") or {}).get("phase") in TERMINAL or pod["metadata"].get("deletionTimestamp")
        refusal = None
        if not is_known and not over:
            others = [w.pod for w in self.workers.values() if w.holds_resources]
            refusal = self._closed or admission.admit(
                pod, others, self._node(), self._env.config.allowed_unsafe_sysctls
            )
            if refusal is not None:
                event = reference_to(pod)
                self._env.recorder.event(event, "Warning", refusal.reason, refusal.message)
        found = self._seen.get(uid)
        self._live(PodWorker(self._env, pod, found=found, refusal=refusal, freed=self._resize))

    def _resize(self) -> None:
        """Answer every Pod that wants other resources than it has, the most deserving first."""
        workers = list(self.workers.values())
        waiting = [worker for worker in workers if worker.wants_resize()]
        for worker in sorted(waiting, key=PodWorker.resize_rank):
            others = [other.pod for other in workers if other is not worker and other.holds_resources]
            worker.answer_resize(admission.admit_resize(worker.desired, others, self._node()))

    def _live(self, worker: PodWorker) -> None:
        assert self._group is not None
        self.workers[worker.uid] = worker
        self._group.create_task(self._run(worker), name=f"pod {worker.key}")

    async def _run(self, worker: PodWorker) -> None:
        try:
            await worker.run()
        except Exception:
            log.exception("pod worker ended: pod=%s uid=%s", worker.key, worker.uid)
        finally:
            if self.workers.get(worker.uid) is worker:
                del self.workers[worker.uid]
                self._resize()

    # What the runtime says.

    async def _listen(self) -> Never:
        """Wake workers as containers change; a broken stream is opened again."""
        while True:
            try:
                async for uid in self._env.runtime.events():
                    if worker := self.workers.get(uid):
                        worker.wake()
            except RuntimeFault as fault:
                if fault.kind is FaultKind.UNIMPLEMENTED:
                    self._relist_s = min(self._relist_s, BLIND_RELIST_S)
                    await asyncio.Event().wait()
                log.debug("event stream broke: error=%s", fault.message)
            await asyncio.sleep(EVENT_RETRY_S)
            for worker in list(self.workers.values()):
                worker.wake()

    async def _relist(self) -> Never:
        """Look at everything now and then: an event may have been lost."""
        while True:
            await asyncio.sleep(self._relist_s)
            try:
                await self.look()
            except RuntimeFault as fault:
                log.warning("runtime not answering: error=%s", fault.message)
            except Exception:
                log.exception("relist failed")

    async def look(self) -> None:
        """Compare with the last look; wake workers of Pods that changed, remove what belongs to none."""
        now = await self._env.runtime.pods()
        before, self._seen = self._seen, now
        for uid, view in now.items():
            if before.get(uid) != view and (worker := self.workers.get(uid)):
                worker.wake()
        for uid in set(before) - set(now):
            if worker := self.workers.get(uid):
                worker.wake()
        self._adopt_orphans()
        self._resize()
        for uid in self._env.volumes.known() - set(self.workers) - set(now):
            with contextlib.suppress(OSError):
                await self._env.volumes.tear_down(uid)
                await asyncio.to_thread(self._env.user_namespaces.release, uid)
                log.info("orphaned volumes removed: uid=%s", uid)
        await self._remove_cgroups(set(now))
        self._env.references.collect()

    async def _remove_cgroups(self, known: set[str]) -> None:
        """Remove what Pods left. Found before it is compared: who comes meanwhile has a worker by then."""
        found = await asyncio.to_thread(pod_cgroups.find, self._env.cgroups, self._env.config.cgroup_root)
        strays = [place for uid in set(found) - set(self.workers) - known for place in found[uid]]
        if strays:
            await asyncio.to_thread(pod_cgroups.remove, strays)

    def _adopt_orphans(self) -> None:
        """Give sandboxes whose Pod was deleted meanwhile a worker that takes them down."""
        for uid, view in self._seen.items():
            if uid not in self.workers:
                log.info("orphan found: pod=%s/%s uid=%s", view.namespace, view.name, uid)
                worker = PodWorker(self._env, orphan(view), found=view)
                worker.remove()
                self._live(worker)

    def pod(self, namespace: str, name: str) -> PodWorker | None:
        """Find the worker of a Pod by name; of two, the one not on its way out."""
        found = [w for w in self.workers.values() if w.key == f"{namespace}/{name}"]
        found.sort(key=lambda w: bool(w.pod["metadata"].get("deletionTimestamp")))
        return found[0] if found else None


def orphan(view: PodView) -> dict[str, Any]:
    """Make up the Pod of which only the runtime still knows, as far as stopping it needs one."""
    grace = 30
    for container in view.containers:
        for name in (labels.DELETION_GRACE_PERIOD, labels.GRACE_PERIOD):
            text = container.annotations.get(name, "")
            if text.isdigit():
                grace = int(text)
                break
    names = dict.fromkeys(container.name for container in view.containers)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": view.name, "namespace": view.namespace, "uid": view.uid},
        "spec": {
            "containers": [{"name": name, "image": ""} for name in names],
            "terminationGracePeriodSeconds": grace,
        },
    }
