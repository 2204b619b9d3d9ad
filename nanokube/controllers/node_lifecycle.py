"""Watches the heartbeats of nodes: says who is gone, and taints what should take no Pods.

    Lease renewed or status changed ──> heard of; silent for node_grace_s ──> Ready Unknown, Pods not ready
    conditions, spec.unschedulable  ──> NoSchedule taints
    Ready False / Unknown           ──> NoExecute taint, unless no node at all is Ready (then the fault is
                                        more likely ours than theirs, and evicting would help nobody)

plan_taints and silent are pure.
Source: pkg/controller/nodelifecycle/node_lifecycle_controller.go.
"""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, Never

from nanokube.api import errors, objects, resources, timestamps
from nanokube.api.objects import Object
from nanokube.client import informer, runner, store
from nanokube.client.interface import PatchKind
from nanokube.controllers.env import Env
from nanokube.kit import tasks

log = logging.getLogger(__name__)

NODES = resources.get("nodes")
PODS = resources.get("pods")
LEASES = resources.get("leases.coordination.k8s.io")
LEASE_NAMESPACE = "kube-node-lease"

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
# condition type -> status -> NoSchedule taint
TAINTS = {
    "Ready": {"False": NOT_READY, "Unknown": UNREACHABLE},
    "MemoryPressure": {"True": "node.kubernetes.io/memory-pressure"},
    "DiskPressure": {"True": "node.kubernetes.io/disk-pressure"},
    "PIDPressure": {"True": "node.kubernetes.io/pid-pressure"},
    "NetworkUnavailable": {"True": "node.kubernetes.io/network-unavailable"},
}
OURS = {UNSCHEDULABLE, *(key for by_status in TAINTS.values() for key in by_status.values())}
JUDGED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


@dataclasses.dataclass(slots=True)
class Heard:
    """The last sign of life: what it was, and when it reached us by our own clock."""

    lease: str
    heartbeats: tuple[str, ...]
    at_s: float


def plan_taints(node: Object, *, evict: bool, now: float) -> list[dict[str, Any]]:
    """Give the taints a node shall have: what others put, and ours by its conditions. Pure."""
    taints = [dict(taint) for taint in objects.spec(node).get("taints") or ()]
    kept = [t for t in taints if not _is_ours(t)]
    keys = [key for type_, by_status in TAINTS.items() if (key := by_status.get(_status(node, type_)))]
    if objects.spec(node).get("unschedulable"):
        keys.append(UNSCHEDULABLE)
    wanted = [{"key": key, "effect": "NoSchedule"} for key in keys]
    ready = TAINTS["Ready"].get(_status(node, "Ready"))
    if ready and evict:
        wanted.append({"key": ready, "effect": "NoExecute"})
    stamp = timestamps.format_time(now)
    before = {(t["key"], t["effect"]): t for t in taints}
    return kept + [before.get((t["key"], t["effect"]), {**t, "timeAdded": stamp}) for t in wanted]


def silent(node: Object, now: float) -> list[dict[str, Any]]:
    """Give the conditions of a node that is not heard of any more: all Unknown. Pure."""
    stamp = timestamps.format_time(now)
    conditions = [dict(found) for found in objects.conditions(node)]
    for type_ in JUDGED:
        found = next((c for c in conditions if c["type"] == type_), None)
        if found is None:
            created = objects.creation_timestamp(node)
            conditions.append(
                {
                    "type": type_,
                    "status": "Unknown",
                    "reason": "NodeStatusNeverUpdated",
                    "message": "Kubelet never posted node status.",
                    "lastHeartbeatTime": created,
                    "lastTransitionTime": stamp,
                }
            )
        elif found["status"] != "Unknown":
            found.update(
                status="Unknown",
                reason="NodeStatusUnknown",
                message="Kubelet stopped posting node status.",
                lastTransitionTime=stamp,
            )
    return conditions


class NodeLifecycleController:
    """Judges heartbeats every node_check_s; taints at every change of a node."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._nodes = env.informers.of(NODES)
        self._pods = env.informers.of(PODS)
        self._leases = env.informers.of(LEASES)
        self._pods.add_index("node", store.by_node)
        self._heard: dict[str, Heard] = {}
        self.runner = runner.Runner("node-lifecycle", self.reconcile)
        self.runner.watches(self._nodes)
        self.runner.reads(self._pods)

    async def run(self) -> Never:
        """Watch until cancelled."""
        await informer.wait_synced(self._nodes, self._leases, self._pods)
        await tasks.all_of(
            self.runner.run(), tasks.every(self._env.options.node_check_s, self.check, name="node-lifecycle")
        )
        raise AssertionError("the node lifecycle controller never ends")

    async def reconcile(self, key: str) -> float | None:
        """Bring one node's taints to its conditions."""
        node = self._nodes.get(key)
        if node is None or objects.is_deleting(node):
            return None
        taints = plan_taints(node, evict=self._may_evict(), now=self._env.clock.time())
        if taints != (objects.spec(node).get("taints") or []):
            # The resourceVersion makes this a comparison: a list of taints is replaced as a whole.
            meta = {"resourceVersion": objects.resource_version(node)}
            body = {"metadata": meta, "spec": {"taints": taints or None}}
            await self._env.client.patch(NODES, key, body)
        if _status(node, "Ready") in ("False", "Unknown"):
            await self._mark_pods_not_ready(key)
        return None

    async def check(self) -> None:
        """Find the nodes that have been silent too long."""
        now = self._env.clock.monotonic()
        names = {objects.name(node) for node in self._nodes.list()}
        self._heard = {name: heard for name, heard in self._heard.items() if name in names}
        for node in self._nodes.list():
            name = objects.name(node)
            if name not in self._heard:
                text = f"Node {name} event: Registered Node {name} in Controller"
                self._env.events.event(node, "Normal", "RegisteredNode", text)
            heard = self._listen(node, now)
            if now - heard.at_s > self._env.options.node_grace_s and _status(node, "Ready") != "Unknown":
                await self._declare_silent(node)
            self.runner.queue.add(name)

    def _listen(self, node: Object, now: float) -> Heard:
        name = objects.name(node)
        lease = self._leases.get(f"{LEASE_NAMESPACE}/{name}") or {}
        renewed = objects.spec(lease).get("renewTime") or ""
        beats = tuple(
            c.get("lastHeartbeatTime") or "" for c in objects.conditions(node) if c.get("status") != "Unknown"
        )
        before = self._heard.get(name)
        if before is None or renewed != before.lease or (beats != before.heartbeats and beats):
            self._heard[name] = Heard(renewed, beats, now)
        return self._heard[name]

    async def _declare_silent(self, node: dict[str, Any]) -> None:
        name = objects.name(node)
        log.warning("node silent: node=%s", name)
        conditions = silent(node, self._env.clock.time())
        body = {**node, "status": {**objects.status(node), "conditions": conditions}}
        try:
            await self._env.client.update(NODES, body, subresource="status")
        except errors.ApiError as err:
            if err.code not in (404, 409):
                raise
            return
        self._env.events.event(node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")

    async def _mark_pods_not_ready(self, node: str) -> None:
        """Take the node's Pods out of Services: whether they still serve is unknown."""
        for pod in self._pods.by_index("node", node):
            if not objects.is_condition_true(pod, "Ready"):
                continue
            stamp = timestamps.format_time(self._env.clock.time())
            condition = {
                "type": "Ready",
                "status": "False",
                "reason": "NodeNotReady",
                "lastTransitionTime": stamp,
            }
            body = {"metadata": {"uid": objects.uid(pod)}, "status": {"conditions": [condition]}}
            name, namespace, kind = objects.name(pod), objects.namespace(pod), PatchKind.STRATEGIC
            try:
                await self._env.client.patch(PODS, name, body, namespace, kind=kind, subresource="status")
            except errors.ApiError as err:
                if err.code not in (404, 409):
                    raise
            else:
                self._env.events.event(pod, "Warning", "NodeNotReady", "Node is not ready")

    def _may_evict(self) -> bool:
        nodes: Sequence[Object] = self._nodes.list()
        return any(_status(node, "Ready") == "True" for node in nodes)


def _status(node: Object, type_: str) -> str:
    return str((objects.condition(node, type_) or {}).get("status") or "")


def _is_ours(taint: Object) -> bool:
    if taint["effect"] == "NoExecute":
        return taint["key"] in (NOT_READY, UNREACHABLE)
    return taint["effect"] == "NoSchedule" and taint["key"] in OURS
