"""DaemonSets: one Pod on each node that admits it.

Source: pkg/controller/daemon/{daemon_controller,update}.go.
"""

from typing import Any, Never

from nanokube.api import objects, resources
from nanokube.api.objects import Object
from nanokube.client import informer, runner
from nanokube.client.interface import PatchKind
from nanokube.controllers import daemonset_plan, daemonset_pods, history, owned_pods, revision_guard
from nanokube.controllers.env import Env

DAEMONSETS = resources.get("daemonsets.apps")
NODES = resources.get("nodes")
PODS = resources.get("pods")
FIRST_BACK_OFF_S = 1.0  # daemon_controller.go: flowcontrol.NewBackOff(1s, 15min)
LAST_BACK_OFF_S = 900.0


class DaemonSetController:
    """Keeps every DaemonSet on its nodes."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._sets = env.informers.of(DAEMONSETS)
        self._nodes = env.informers.of(NODES)
        self._written = revision_guard.RevisionGuard()
        self._failures: dict[str, dict[str, tuple[int, float]]] = {}
        self.runner = runner.Runner("daemonset", self.reconcile)
        self._owned = owned_pods.OwnedPods(env, self.runner, DAEMONSETS)
        self._history = history.History(env, self.runner, DAEMONSETS)
        self.runner.reads(self._nodes)
        self._nodes.subscribe(self._node_changed)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Bring one DaemonSet a step nearer to its spec."""
        daemonset = self._sets.get(key)
        if daemonset is None:
            self._forget(key)
            return None
        if objects.spec(daemonset).get("selector") == {}:
            message = "This daemon set is selecting all pods. A non-empty selector is required."
            self._env.events.event(daemonset, "Warning", "SelectingAll", message)
            return None
        if objects.is_deleting(daemonset):
            return None
        if not self._written.is_seen(key, daemonset):
            return 1.0
        found = await self._history.claim(daemonset)
        current, collisions = await self._history.current(daemonset, found)
        satisfied = self._owned.expected.satisfied(key)
        owned = await self._owned.claim(daemonset)
        await self._drop_twins(daemonset, found, current, owned)
        view = self._view(key, daemonset, owned, history.hash_of(current))
        again_s, failure = None, None
        if satisfied:
            todo = daemonset_plan.plan(view)
            again_s = todo.again_s
            failure = await self._manage(key, view, todo)
            if todo.is_idle:
                await self._drop_old(daemonset, found, current, owned)
        waits = [again_s, await self._report(key, view, collisions)]
        if failure is not None:
            raise failure
        return min((wait for wait in waits if wait is not None), default=None)

    def _view(
        self, key: str, daemonset: Object, owned: list[dict[str, Any]], hashed: str
    ) -> daemonset_plan.View:
        now = self._env.clock.time()
        waits = {
            node: since + min(LAST_BACK_OFF_S, FIRST_BACK_OFF_S * 2.0 ** (count - 1)) - now
            for node, (count, since) in self._failures.get(key, {}).items()
        }
        return daemonset_plan.View(daemonset, self._nodes.list(), owned, hashed, now, waits)

    async def _manage(
        self, key: str, view: daemonset_plan.View, todo: daemonset_plan.Plan
    ) -> Exception | None:
        for event in todo.events:
            self._env.events.event(view.daemonset, *event)
        for node in todo.failed:
            count, since = self._failures.setdefault(key, {}).get(node, (0, 0.0))
            # After twice the longest delay without a failure the count begins anew.
            count = 0 if view.now - since > 2 * LAST_BACK_OFF_S else min(count, 32)
            self._failures[key][node] = (count + 1, view.now)
        if todo.is_idle:
            return None
        deletes = {objects.uid(pod) for pod in todo.delete}
        self._owned.expected.expect(key, creates=len(todo.create), deletes=deletes)
        made = [daemonset_pods.made(view.daemonset, node, view.hashed) for node in todo.create]
        _, refused = await self._owned.create(key, view.daemonset, made)
        _, kept = await self._owned.delete(key, view.daemonset, todo.delete)
        return refused or kept

    async def _report(self, key: str, view: daemonset_plan.View, collisions: int) -> float | None:
        status, again_s = daemonset_plan.status(view)
        if collisions:
            status["collisionCount"] = collisions
        if status != objects.status(view.daemonset):
            body = {**view.daemonset, "status": status}
            written = await self._env.client.update(DAEMONSETS, body, subresource="status")
            self._written.wrote(key, written)
        return again_s

    async def _drop_twins(
        self, daemonset: Object, found: list[dict[str, Any]], current: Object, owned: list[dict[str, Any]]
    ) -> None:
        """Of several revisions of one template keep the highest; its Pods change their label."""
        twins = [
            each for each in history.matching(daemonset, found) if objects.name(each) != objects.name(current)
        ]
        hashes = {history.hash_of(twin) for twin in twins}
        for pod in owned:
            if objects.labels(pod).get(history.HASH_LABEL) in hashes:
                body = {"metadata": {"labels": {history.HASH_LABEL: history.hash_of(current)}}}
                name, namespace = objects.name(pod), objects.namespace(pod)
                await self._env.client.patch(PODS, name, body, namespace, kind=PatchKind.MERGE)
        for twin in twins:
            await self._history.delete(twin)

    async def _drop_old(
        self, daemonset: Object, found: list[dict[str, Any]], current: Object, owned: list[dict[str, Any]]
    ) -> None:
        limit = objects.spec(daemonset).get("revisionHistoryLimit")
        hashes = {objects.labels(pod).get(history.HASH_LABEL) for pod in owned}
        live = {objects.name(each) for each in found if history.hash_of(each) in hashes}
        live.add(objects.name(current))
        for old in history.surplus(found, live, 10 if limit is None else int(limit)):
            await self._history.delete(old)

    def _forget(self, key: str) -> None:
        self._owned.expected.forget(key)
        self._written.forget(key)
        self._failures.pop(key, None)

    def _node_changed(self, change: informer.Change, old: Object | None, new: dict[str, Any]) -> None:
        if old is not None and change == "MODIFIED" and not _differs(old, new):
            return
        for daemonset in self._sets.list():
            before = daemonset_pods.placement_on(daemonset, old) if old is not None else None
            if change == "DELETED" or before != daemonset_pods.placement_on(daemonset, new):
                self.runner.queue.add(objects.key(daemonset))


def _differs(old: Object, new: Object) -> bool:
    """Tell whether anything changed that decides where Pods belong; heartbeats do not."""
    taints = objects.spec(old).get("taints") == objects.spec(new).get("taints")
    return not (taints and objects.labels(old) == objects.labels(new))
