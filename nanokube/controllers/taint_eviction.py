"""Deletes Pods from nodes whose NoExecute taints they do not tolerate, or no longer.

Source: pkg/controller/tainteviction/taint_eviction.go.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Never

from nanokube.api import errors, objects, placement, resources, timestamps
from nanokube.api.objects import Object
from nanokube.client import runner, store
from nanokube.client.interface import PatchKind
from nanokube.controllers import pods
from nanokube.controllers.env import Env

log = logging.getLogger(__name__)

NODES = resources.get("nodes")
PODS = resources.get("pods")


def evict_in(taints: Sequence[Object], tolerations: Iterable[Object], now: float) -> float | None:
    """Give the seconds until a Pod must go: 0 for now, None for never. Pure.

    Each NoExecute taint must be tolerated; the shortest tolerationSeconds counts, from the taint's timeAdded.
    """
    noexecute = [taint for taint in taints if taint.get("effect") == "NoExecute"]
    shortest: float | None = None
    accepted = list(tolerations)
    for taint in noexecute:
        covering = [found for found in accepted if placement.tolerates(found, taint)]
        if not covering:
            return 0.0
        limits = [
            found["tolerationSeconds"] for found in covering if found.get("tolerationSeconds") is not None
        ]
        if not limits:
            continue
        added = timestamps.parse(taint["timeAdded"]) if taint.get("timeAdded") else now
        left = max(0.0, added + max(0.0, float(min(limits))) - now)
        shortest = left if shortest is None else min(shortest, left)
    return shortest


class TaintEvictionController:
    """Looks at a Pod when it or its node changes, and when its time is up."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._nodes = env.informers.of(NODES)
        self._pods = env.informers.of(PODS)
        self._pods.add_index("node", store.by_node)
        self._first_seen: dict[str, float] = {}
        self.runner = runner.Runner("taint-eviction", self.reconcile)
        self.runner.watches(self._pods, _assigned)
        self.runner.watches(self._nodes, self._pods_of)

    async def run(self) -> Never:
        """Evict until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Evict one Pod if its time is up; else say when to look again."""
        pod = self._pods.get(key)
        if pod is None or objects.is_deleting(pod) or pods.is_terminal(pod):
            self._first_seen.pop(key, None)
            return None
        node = self._nodes.get(objects.spec(pod).get("nodeName") or "")
        taints = self._dated(key, objects.spec(node).get("taints") or [] if node is not None else [])
        wait_s = evict_in(taints, objects.spec(pod).get("tolerations") or (), self._env.clock.time())
        if wait_s is None:
            return None
        if wait_s > 0:
            return wait_s
        await self._evict(pod)
        return None

    def _dated(self, key: str, taints: Sequence[Object]) -> list[Object]:
        """Give each NoExecute taint a time: without timeAdded, when this Pod was first seen with it."""
        noexecute = [taint for taint in taints if taint.get("effect") == "NoExecute"]
        if not noexecute:
            self._first_seen.pop(key, None)
            return []
        since = self._first_seen.setdefault(key, self._env.clock.time())
        return [{"timeAdded": timestamps.format_time(since), **taint} for taint in noexecute]

    async def _evict(self, pod: dict[str, Any]) -> None:
        name, namespace, kind = objects.name(pod), objects.namespace(pod), PatchKind.STRATEGIC
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "observedGeneration": objects.generation(pod),
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": timestamps.format_time(self._env.clock.time()),
        }
        body = {"metadata": {"uid": objects.uid(pod)}, "status": {"conditions": [condition]}}
        message = f"Marking for deletion Pod {objects.key(pod)}"
        self._env.events.event(pod, "Normal", "TaintManagerEviction", message)
        try:
            await self._env.client.patch(PODS, name, body, namespace, kind=kind, subresource="status")
            await self._env.client.delete(PODS, name, namespace, uid=objects.uid(pod))
        except errors.ApiError as err:
            if err.code != 404:
                raise
        log.info("pod evicted: pod=%s", objects.key(pod))

    def _pods_of(self, node: Object) -> list[str]:
        # Every heartbeat comes here: only a tainted node, or one with Pods on a clock, costs anything.
        found = self._pods.by_index("node", objects.name(node))
        tainted = any(t.get("effect") == "NoExecute" for t in objects.spec(node).get("taints") or ())
        return [objects.key(pod) for pod in found if tainted or objects.key(pod) in self._first_seen]


def _assigned(pod: Object) -> list[str]:
    return [objects.key(pod)] if objects.spec(pod).get("nodeName") else []
