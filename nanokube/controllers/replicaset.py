"""ReplicaSets: as many Pods as the spec asks for.

Source: pkg/controller/replicaset/{replica_set,replica_set_utils}.go.
"""

import collections
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Never

from nanokube.api import objects, resources, selectors
from nanokube.api.objects import Object
from nanokube.client import runner
from nanokube.controllers import owned_pods, pods, replicaset_status
from nanokube.controllers.env import Env

REPLICASETS = resources.get("replicasets.apps")
BURST = 500  # replica_set.go: BurstReplicas


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """How many Pods to create, or which to delete."""

    create: int = 0
    delete: tuple[dict[str, Any], ...] = ()


def plan(replicaset: Object, owned: Sequence[dict[str, Any]], now: float) -> Plan:
    """Decide what brings the owned Pods to spec.replicas. Pure."""
    active = [pod for pod in owned if pods.is_active(pod)]
    missing = objects.replicas(replicaset) - len(active)
    if missing >= 0:
        return Plan(create=min(missing, BURST))
    per_node = collections.Counter(objects.spec(pod).get("nodeName") for pod in active)
    ranked = sorted(
        active, key=lambda pod: pods.deletion_rank(pod, per_node[objects.spec(pod).get("nodeName")], now)
    )
    return Plan(delete=tuple(ranked[: min(-missing, BURST)]))


def may_adopt(owner: Object, pod: Object) -> bool:
    """Let an ended Pod alone: it would never count."""
    return not pods.is_terminal(pod)


class ReplicaSetController:
    """Keeps every ReplicaSet at its count."""

    def __init__(
        self,
        env: Env,
        resource: resources.Resource = REPLICASETS,
        selector: Callable[[Object], selectors.LabelSelector] = owned_pods.selector_of,
    ) -> None:
        self._env = env
        self._resource = resource
        self._sets = env.informers.of(resource)
        self.runner = runner.Runner(resource.singular, self.reconcile)
        self._owned = owned_pods.OwnedPods(env, self.runner, resource, selector=selector, may_adopt=may_adopt)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Bring one ReplicaSet to its spec. Level-based: reads the caches, trusts no event."""
        replicaset = self._sets.get(key)
        if replicaset is None:
            self._owned.expected.forget(key)
            return None
        ready_to_act = self._owned.expected.satisfied(key)
        owned = await self._owned.claim(replicaset)
        failure: Exception | None = None
        if ready_to_act and not objects.is_deleting(replicaset):
            failure = await self._manage(key, replicaset, plan(replicaset, owned, self._env.clock.time()))
        again_s = await self._report(replicaset, owned, failure)
        if failure is not None:
            raise failure
        return again_s

    async def _manage(self, key: str, replicaset: Object, todo: Plan) -> Exception | None:
        """Carry the plan out; give the first failure, for the status to tell."""
        failure = None
        if todo.create:
            self._owned.expected.expect(key, creates=todo.create)
            pod = pods.from_template(objects.spec(replicaset)["template"], replicaset)
            _, failure = await self._owned.create(key, replicaset, [pod] * todo.create)
        elif todo.delete:
            self._owned.expected.expect(key, deletes={objects.uid(pod) for pod in todo.delete})
            _, failure = await self._owned.delete(key, replicaset, todo.delete)
        return failure

    async def _report(
        self, replicaset: Object, owned: Sequence[Object], failure: Exception | None
    ) -> float | None:
        now = self._env.clock.time()
        status = replicaset_status.status_of(replicaset, owned, failure, now)
        if status != objects.status(replicaset):
            written = {**replicaset, "status": status}
            await self._env.client.update(self._resource, written, subresource="status")
        return replicaset_status.next_available_s(replicaset, owned, now)
