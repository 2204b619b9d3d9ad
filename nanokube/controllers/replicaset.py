"""ReplicaSets: as many Pods as the spec asks for.

Source: pkg/controller/replicaset/{replica_set,replica_set_utils}.go.
"""

import asyncio
import collections
import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, Never

from nanokube.api import errors, objects, resources, selectors
from nanokube.api.objects import Object
from nanokube.client import informer, refusals, runner, store
from nanokube.controllers import claims, expectations, pods, replicaset_status
from nanokube.controllers.env import Env

log = logging.getLogger(__name__)

REPLICASETS = resources.get("replicasets.apps")
PODS = resources.get("pods")
BURST = 500  # replica_set.go: BurstReplicas
SLOW_START = 1  # controller_utils.go: SlowStartInitialBatchSize


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """How many Pods to create, or which to delete."""

    create: int = 0
    delete: tuple[dict[str, Any], ...] = ()


def plan(replicaset: Object, owned: Sequence[dict[str, Any]], now: float) -> Plan:
    """Decide what brings the owned Pods to spec.replicas. Pure."""
    active = [pod for pod in owned if pods.is_active(pod)]
    missing = wanted(replicaset) - len(active)
    if missing >= 0:
        return Plan(create=min(missing, BURST))
    per_node = collections.Counter(objects.spec(pod).get("nodeName") for pod in active)
    ranked = sorted(
        active, key=lambda pod: pods.deletion_rank(pod, per_node[objects.spec(pod).get("nodeName")], now)
    )
    return Plan(delete=tuple(ranked[: min(-missing, BURST)]))


def wanted(replicaset: Object) -> int:
    """Give spec.replicas, 1 if unset."""
    count = objects.spec(replicaset).get("replicas")
    return 1 if count is None else int(count)


class ReplicaSetController:
    """Keeps every ReplicaSet at its count."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._sets = env.informers.of(REPLICASETS)
        self._pods = env.informers.of(PODS)
        self._sets.add_index("namespace", store.by_namespace)
        self._pods.add_index("namespace", store.by_namespace)
        self._pods.add_index("controller", store.by_controller)
        self._expected = expectations.Expectations(env.clock)
        self.runner = runner.Runner("replicaset", self.reconcile)
        self.runner.watches(self._sets)
        self.runner.reads(self._pods)
        self._pods.subscribe(self._pod_changed)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Bring one ReplicaSet to its spec. Level-based: reads the caches, trusts no event."""
        replicaset = self._sets.get(key)
        if replicaset is None:
            self._expected.forget(key)
            return None
        ready_to_act = self._expected.satisfied(key)
        owned = await self._claim(replicaset)
        failure: Exception | None = None
        if ready_to_act and not objects.is_deleting(replicaset):
            failure = await self._manage(key, replicaset, plan(replicaset, owned, self._env.clock.time()))
        again_s = await self._report(replicaset, owned, failure)
        if failure is not None:
            raise failure
        return again_s

    async def _claim(self, replicaset: Object) -> list[dict[str, Any]]:
        selector = selectors.from_object(objects.spec(replicaset).get("selector"))
        namespace = objects.namespace(replicaset)
        candidates = self._pods.by_index("controller", objects.uid(replicaset))
        orphans = [
            pod
            for pod in self._pods.by_index("controller", "")
            if objects.namespace(pod) == namespace and not pods.is_terminal(pod)
        ]
        claim = claims.decide(replicaset, selector, [*candidates, *orphans])
        return await claims.settle(self._env.client, replicaset, REPLICASETS, PODS, claim)

    async def _manage(self, key: str, replicaset: Object, todo: Plan) -> Exception | None:
        """Carry the plan out; give the first failure, for the status to tell."""
        if todo.create:
            self._expected.expect(key, creates=todo.create)
            return await self._create(key, replicaset, todo.create)
        if todo.delete:
            self._expected.expect(key, deletes={objects.uid(pod) for pod in todo.delete})
            outcomes = await asyncio.gather(
                *(self._delete(key, replicaset, pod) for pod in todo.delete), return_exceptions=True
            )
            return next((outcome for outcome in outcomes if isinstance(outcome, Exception)), None)
        return None

    async def _create(self, key: str, replicaset: Object, count: int) -> Exception | None:
        """Create in batches of 1, 2, 4, ...: a template that cannot be admitted costs one refusal."""
        pod = pods.from_template(objects.spec(replicaset)["template"], replicaset)
        batch = SLOW_START
        while count > 0:
            batch = min(batch, count)
            outcomes = await asyncio.gather(
                *(self._create_one(key, replicaset, pod) for _ in range(batch)), return_exceptions=True
            )
            count -= batch
            failure = next((outcome for outcome in outcomes if isinstance(outcome, Exception)), None)
            if failure is not None:
                self._expected.created(key, count)
                return None if refusals.is_namespace_terminating(failure) else failure
            batch *= 2
        return None

    async def _create_one(self, key: str, replicaset: Object, pod: Object) -> None:
        try:
            created = await self._env.client.create(PODS, pod)
        except Exception as err:
            self._expected.created(key)
            if not refusals.is_namespace_terminating(err):
                self._env.events.event(replicaset, "Warning", "FailedCreate", f"Error creating: {err}")
            raise
        name = objects.name(created)
        self._env.events.event(replicaset, "Normal", "SuccessfulCreate", f"Created pod: {name}")

    async def _delete(self, key: str, replicaset: Object, pod: Object) -> None:
        name, uid = objects.name(pod), objects.uid(pod)
        try:
            await self._env.client.delete(PODS, name, objects.namespace(pod), uid=uid)
        except Exception as err:
            self._expected.deleted(key, uid)
            if errors.is_not_found(err):
                return
            self._env.events.event(replicaset, "Warning", "FailedDelete", f"Error deleting: {err}")
            raise
        self._env.events.event(replicaset, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")

    async def _report(
        self, replicaset: Object, owned: Sequence[Object], failure: Exception | None
    ) -> float | None:
        now = self._env.clock.time()
        status = replicaset_status.status_of(replicaset, owned, failure, now)
        if status != objects.status(replicaset):
            await self._env.client.update(REPLICASETS, {**replicaset, "status": status}, subresource="status")
        return replicaset_status.next_available_s(replicaset, owned, now)

    def _pod_changed(self, change: informer.Change, old: Object | None, new: dict[str, Any]) -> None:
        reference = objects.controller_of(new)
        before = objects.controller_of(old) if old is not None else None
        if before is not None and (reference is None or before["uid"] != reference["uid"]):
            self._enqueue_owner(old or new, before)
        if reference is None:
            self._enqueue_adopters(new)
            return
        key = objects.join_key(objects.namespace(new), reference["name"])
        if reference["kind"] == REPLICASETS.kind:
            if change == "ADDED":
                self._expected.created(key)
            if change == "DELETED" or objects.is_deleting(new):
                self._expected.deleted(key, objects.uid(new))
        self._enqueue_owner(new, reference)

    def _enqueue_owner(self, pod: Object, reference: Object) -> None:
        if reference["kind"] == REPLICASETS.kind and reference["apiVersion"].startswith("apps/"):
            self.runner.queue.add(objects.join_key(objects.namespace(pod), reference["name"]))

    def _enqueue_adopters(self, pod: Object) -> None:
        for replicaset in self._sets.by_index("namespace", objects.namespace(pod)):
            selector = selectors.from_object(objects.spec(replicaset).get("selector"))
            if selector.matches(objects.labels(pod)):
                self.runner.queue.add(objects.key(replicaset))
