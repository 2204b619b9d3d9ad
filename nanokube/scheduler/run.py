"""The scheduler: takes waiting Pods one by one, decides, and binds.

Deciding is synchronous on live caches; binding is a request, so it goes on beside the next decisions (at most
BINDINGS at a time), on the assumption that it succeeds.
Source: pkg/scheduler/{schedule_one,eventhandlers}.go.
"""

import asyncio
import logging
import random
from typing import Any, Never

from nanokube.api import errors, objects, resized, resources, timestamps
from nanokube.api.objects import Object
from nanokube.client import events, informer
from nanokube.client.interface import ApiClient, PatchKind
from nanokube.kit import clock, tasks
from nanokube.scheduler import cache, cycle, making_room, nominations, preemption, queue, storage, volumes
from nanokube.scheduler.framework import Change
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo, pod_info
from nanokube.scheduler.plugins import volume_binding

log = logging.getLogger(__name__)

NAME = "default-scheduler"
BINDINGS = 32
PODS = resources.get("pods")
NODES = resources.get("nodes")
NAMESPACES = resources.get("namespaces")
SERVICES = resources.get("services")
BUDGETS = resources.get("poddisruptionbudgets.policy")
CLASSES = resources.get("storageclasses.storage.k8s.io")


async def run(
    client: ApiClient, *, name: str = NAME, time: clock.Clock = clock.SYSTEM, seed: int | None = None
) -> Never:
    """Schedule Pods whose schedulerName is name, until cancelled."""
    recorder = events.EventRecorder(client, name, time=time)
    scheduler = Scheduler(client, recorder, name=name, time=time, seed=seed)
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run(), name="scheduler events")
        group.create_task(scheduler.run(), name="scheduler")
    raise AssertionError("the scheduler never ends")


class Scheduler:
    """Caches, queue and the loop over them."""

    def __init__(
        self,
        client: ApiClient,
        recorder: events.Recorder,
        *,
        name: str = NAME,
        time: clock.Clock = clock.SYSTEM,
        seed: int | None = None,
    ) -> None:
        self._client = client
        self._events = recorder
        self._name = name
        self._clock = time
        self._random = random.Random(seed)
        self._start = 0
        self._binding = asyncio.Semaphore(BINDINGS)
        self.queue = queue.Queue(time)
        self.nominations = nominations.Nominations()
        # Ended Pods hold nothing of a node any more: the server need not send them.
        alive = "status.phase!=Succeeded,status.phase!=Failed"
        self._pods = informer.Informer(client, PODS, field_selector=alive)
        self._nodes = informer.Informer(client, NODES)
        self._namespaces = informer.Informer(client, NAMESPACES)
        self._services = informer.Informer(client, SERVICES)
        self._budgets = informer.Informer(client, BUDGETS)
        self._claims = informer.Informer(client, volumes.CLAIMS)
        self._volumes = informer.Informer(client, volumes.VOLUMES)
        self._classes = informer.Informer(client, CLASSES)
        self._storage = storage.Storage(self._claims, self._volumes, self._classes)
        self.cache = cache.Cache(self._storage)

    async def run(self) -> Never:
        """Schedule until cancelled."""
        self._nodes.subscribe(self._node_changed)
        self._namespaces.subscribe(self._namespace_changed)
        self._services.subscribe(self._service_changed)
        stored = (self._claims, self._volumes, self._classes)
        for source in stored:
            source.subscribe(self._storage_changed)
        self._pods.subscribe(self._pod_changed)
        async with asyncio.TaskGroup() as group:
            sources = (self._nodes, self._namespaces, self._services, self._budgets, *stored, self._pods)
            for source in sources:
                group.create_task(source.run(), name=f"scheduler {source.resource.plural}")
            await informer.wait_synced(*sources)
            while True:
                waiting = await self.queue.pop()
                await self._binding.acquire()
                try:
                    self._decide(waiting, group)
                except Exception as err:
                    self._binding.release()
                    self.queue.failed(waiting)
                    log.exception("cycle failed: pod=%s error=%s", waiting.pod.key, tasks.describe(err))

    def _decide(self, waiting: queue.Waiting, group: asyncio.TaskGroup) -> None:
        """Run one cycle; the write that follows runs as its own task, which gives the permit back."""
        pod = waiting.pod
        cluster = self.cache.cluster()
        decision = cycle.decide(
            pod,
            cluster,
            pick=self._random.choice,
            start=self._start,
            first=self.nominations.node_of(pod.uid),
            rivals=self.nominations.rivals(pod),
        )
        self._start = (self._start + 1) % max(1, len(cluster.nodes))
        if isinstance(decision, cycle.Placed):
            self._assume(waiting, decision.node, group)
        else:
            room = self._find_room(pod, cluster, decision)
            group.create_task(self._unplaced(waiting, decision, room), name=f"report {pod.key}")

    def _assume(self, waiting: queue.Waiting, name: str, group: asyncio.TaskGroup) -> None:
        """Count the Pod, and what is planned for its claims, on its node; bind it there."""
        pod, node = waiting.pod, self.cache.node(name)
        plan = volume_binding.plan(pod, node, self._storage) if node is not None else None
        self.cache.assume(pod, name)
        self.nominations.remove(pod.uid)
        if plan is None:
            group.create_task(self._bind(waiting, name), name=f"bind {pod.key}")
            return
        self._binding.release()  # others do not wait for whoever makes its volumes
        self._storage.assume(pod.uid, plan)
        group.create_task(self._bind_with_volumes(waiting, plan), name=f"bind volumes {pod.key}")

    async def _bind_with_volumes(self, waiting: queue.Waiting, plan: storage.Plan) -> None:
        """Have the Pod's claims bound as planned, then bind the Pod; meanwhile it is assumed on its node."""
        pod = waiting.pod

        def node() -> NodeInfo | None:
            return self.cache.node(plan.node) if self.cache.is_assumed(pod.uid) else None

        try:
            await volumes.bind(self._client, self._storage, plan, node)
        except Exception as err:
            self.cache.forget(pod.uid)
            self._bind_failed(waiting, err)
            return
        finally:
            self._storage.forget(pod.uid)
        await self._binding.acquire()
        await self._bind(waiting, plan.node)

    def _find_room(
        self, pod: PodInfo, cluster: Cluster, decision: cycle.Unplaced
    ) -> preemption.Room | preemption.NoRoom:
        """See whether Pods of lower priority can make way, and keep their room for this one if so."""
        if not cluster.nodes:
            return preemption.NoRoom("")
        room = preemption.find(
            pod,
            cluster,
            decision.helpable,
            self._budgets.list(),
            nominated=self.nominations.node_of(pod.uid),
            start=self._start,
        )
        if isinstance(room, preemption.Room):
            self.nominations.put(pod, room.node)
        elif not room.is_waiting:
            self.nominations.remove(pod.uid)
        return room

    async def _bind(self, waiting: queue.Waiting, node: str) -> None:
        """Write the decision; if that fails, take the assumption back and let the Pod wait again."""
        pod = waiting.pod
        namespace, name = objects.split_key(pod.key)
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": pod.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self._client.create(PODS, body, namespace, subresource="binding", name=name)
        except Exception as err:
            self.cache.forget(pod.uid)
            self._bind_failed(waiting, err)
        else:
            log.info("bound: pod=%s node=%s", pod.key, node)
            self.queue.remove(pod.uid)
            self._events.event(
                pod.obj, "Normal", "Scheduled", f"Successfully assigned {namespace}/{name} to {node}"
            )
        finally:
            self._binding.release()

    def _bind_failed(self, waiting: queue.Waiting, err: Exception) -> None:
        pod = waiting.pod
        self.queue.changed(Change.POD_GONE)  # what was assumed is free again
        if errors.is_not_found(err):
            self.queue.remove(pod.uid)
            return
        self.queue.failed(waiting)
        log.warning("binding failed: pod=%s error=%s", pod.key, tasks.describe(err))
        if isinstance(err, errors.ApiError):
            self._events.event(pod.obj, "Warning", "FailedScheduling", f"binding rejected: {err}")
        elif isinstance(err, volumes.NotBound):
            message = f'running PreBind plugin "VolumeBinding": binding volumes: {err}'
            self._events.event(pod.obj, "Warning", "FailedScheduling", message)

    async def _unplaced(
        self, waiting: queue.Waiting, decision: cycle.Unplaced, room: preemption.Room | preemption.NoRoom
    ) -> None:
        """Report, and clear the room that was found; the Pod waits until that has been asked for."""
        pod = waiting.pod
        try:
            if isinstance(room, preemption.Room):
                await self._tell_unplaced(pod, decision.message)
                await self._withdraw_lesser(pod, room.node)
                await making_room.make_room(self._client, self._events, self._clock, pod, room)
            else:
                await self._tell_unplaced(pod, f"{decision.message} {room.message}".rstrip())
        except Exception as err:
            level = logging.DEBUG if errors.is_not_found(err) else logging.WARNING
            log.log(level, "report or preemption failed: pod=%s error=%s", pod.key, tasks.describe(err))
            if isinstance(room, preemption.Room):
                self.nominations.remove(pod.uid)
                self.queue.failed(waiting)
        finally:
            self.queue.back(waiting, decision.retry_on)
            self._binding.release()

    async def _tell_unplaced(self, pod: PodInfo, message: str) -> None:
        self._events.event(pod.obj, "Warning", "FailedScheduling", message)
        nominated = self.nominations.node_of(pod.uid)
        body = unschedulable_patch(pod.obj, message, self._clock.time(), nominated)
        if body is not None:
            await self._patch_status(pod, body)

    async def _withdraw_lesser(self, pod: PodInfo, node: str) -> None:
        """Let Pods of lower priority look elsewhere that wait for room on the same node."""
        for other in self.nominations.on(node):
            if other.uid != pod.uid and other.priority < pod.priority:
                self.nominations.remove(other.uid)
                body = {"metadata": {"uid": other.uid}, "status": {"nominatedNodeName": None}}
                await self._patch_status(other, body)
                self.queue.changed_itself(other.uid)

    async def _patch_status(self, pod: PodInfo, body: dict[str, Any]) -> None:
        namespace, name = objects.split_key(pod.key)
        await self._client.patch(PODS, name, body, namespace, kind=PatchKind.STRATEGIC, subresource="status")

    def _pod_changed(self, change: informer.Change, old: Object | None, new: dict[str, Any]) -> None:
        uid = objects.uid(new)
        assigned = bool(objects.spec(new).get("nodeName"))
        if change == "DELETED":
            # Ended Pods arrive here too: they have left the informer's selection.
            self.queue.remove(uid)
            self.nominations.remove(uid)
            if assigned or self.cache.is_assumed(uid):
                self.cache.remove_pod(uid)
                self.queue.changed(Change.POD_GONE)
                self._storage.tell()
        elif assigned:
            self.queue.remove(uid)
            self.nominations.remove(uid)
            self.cache.put_pod(new)
            if old is None or not objects.spec(old).get("nodeName"):
                self.queue.changed(Change.POD_PLACED)
            elif _requests_changed(old, new):
                self.queue.changed(Change.POD_GONE)
        elif self._is_ours(new) and not self.cache.is_assumed(uid):
            self._enqueue(old, new)

    def _enqueue(self, old: Object | None, new: dict[str, Any]) -> None:
        if objects.is_deleting(new):
            self.queue.remove(objects.uid(new))
            self.nominations.remove(objects.uid(new))
            return
        info = pod_info(new)
        self.queue.put(info)
        if old is None and (node := objects.status(new).get("nominatedNodeName")):
            self.nominations.put(info, node)  # by a scheduler before this one
        if old is not None and (
            objects.spec(old) != objects.spec(new) or objects.labels(old) != objects.labels(new)
        ):
            self.queue.changed_itself(objects.uid(new))

    def _is_ours(self, pod: Object) -> bool:
        return (objects.spec(pod).get("schedulerName") or NAME) == self._name

    def _node_changed(self, change: informer.Change, old: Object | None, new: dict[str, Any]) -> None:
        if change == "DELETED":
            self.cache.remove_node(objects.name(new))
            self._storage.tell()
            return
        self.cache.put_node(new)
        if old is None:
            self.queue.changed(Change.NODE_ADDED)
        elif _node_differs(old, new):
            self.queue.changed(Change.NODE_CHANGED)

    def _storage_changed(self, change: informer.Change, old: Object | None, new: dict[str, Any]) -> None:
        self._storage.tell()
        if change != "DELETED":
            self.queue.changed(Change.STORAGE)

    def _namespace_changed(self, change: informer.Change, old: Object | None, new: dict[str, Any]) -> None:
        if change == "DELETED":
            self.cache.namespaces.pop(objects.name(new), None)
        else:
            self.cache.namespaces[objects.name(new)] = dict(objects.labels(new))

    def _service_changed(self, change: informer.Change, old: Object | None, new: dict[str, Any]) -> None:
        selector = objects.spec(new).get("selector")
        known = self.cache.services.setdefault(objects.namespace(new), {})
        known.pop(objects.name(new), None)
        if change != "DELETED" and selector:
            known[objects.name(new)] = dict(selector)


def unschedulable_patch(pod: Object, message: str, now: float, nominated: str = "") -> dict[str, Any] | None:
    """Build the patch that sets PodScheduled to False; None when the Pod says so already. Pure."""
    current = objects.condition(pod, "PodScheduled")
    wanted = {
        "type": "PodScheduled",
        "status": "False",
        "observedGeneration": objects.generation(pod),
        "reason": "Unschedulable",
        "message": message,
    }
    status: dict[str, Any] = {}
    if current is None or any(current.get(field) != value for field, value in wanted.items()):
        if current is None or current.get("status") != "False":
            wanted["lastTransitionTime"] = timestamps.format_time(now)
        status["conditions"] = [wanted]
    if nominated != (objects.status(pod).get("nominatedNodeName") or ""):
        status["nominatedNodeName"] = nominated or None
    return {"metadata": {"uid": objects.uid(pod)}, "status": status} if status else None


def _node_differs(old: Object, new: Object) -> bool:
    """Tell whether anything a plugin reads changed; heartbeats do not."""
    return (
        objects.spec(old) != objects.spec(new)
        or objects.labels(old) != objects.labels(new)
        or objects.status(old).get("allocatable") != objects.status(new).get("allocatable")
    )


def _requests_changed(old: Object, new: Object) -> bool:
    def resources_of(pod: Object) -> list[Any]:
        return [container.get("resources") for container in resized.spec(pod).get("containers") or ()]

    return resources_of(old) != resources_of(new)
