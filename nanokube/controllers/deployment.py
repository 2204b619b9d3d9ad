"""Deployments: ReplicaSets as revisions, rolled one into the next.

plan() decides from the caches alone; the shell writes. A write through a stale cache is refused by
resourceVersion and planned anew.
Source: pkg/controller/deployment/{deployment_controller,sync,rolling,recreate}.go.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Never

from nanokube.api import errors, objects, resources, selectors
from nanokube.api.objects import Object
from nanokube.client import informer, runner, store
from nanokube.controllers import claims, deployment_status, pods, revisions, rollout
from nanokube.controllers.env import Env

DEPLOYMENTS = resources.get("deployments.apps")
REPLICASETS = resources.get("replicasets.apps")
PODS = resources.get("pods")


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What one reconcile writes: a new ReplicaSet, changed ones, history to drop, and the status."""

    status: dict[str, Any]
    create: dict[str, Any] | None = None
    update: tuple[dict[str, Any], ...] = ()
    delete: tuple[dict[str, Any], ...] = ()
    revision: str = ""


def plan(
    deployment: Object, replicasets: Sequence[dict[str, Any]], *, old_pods_remain: bool, now: float
) -> Plan:
    """Decide one step of a Deployment. Pure.

    old_pods_remain: whether Pods of other than the new ReplicaSet still run or terminate.
    """
    new = revisions.find_new(deployment, replicasets)
    old = [rs for rs in replicasets if rs is not new]
    counted = deployment_status.counted
    if objects.is_deleting(deployment):
        return Plan(counted(deployment, replicasets, new, now))
    if objects.spec(deployment).get("paused") or rollout.is_scaling(deployment, replicasets):
        after = _resized(deployment, new, old, rollout.scale(deployment, new, old), annotate_all=True)
        status = counted(deployment, _applied(replicasets, after), new, now)
        status["conditions"] = deployment_status.paused(deployment, status["conditions"], now)
        spare = _spare(deployment, old) if objects.spec(deployment).get("paused") else ()
        return Plan(status, update=after, delete=spare, revision=_revision(new, after))
    return _roll(deployment, new, old, old_pods_remain=old_pods_remain, now=now)


def _roll(
    deployment: Object,
    new: dict[str, Any] | None,
    old: Sequence[dict[str, Any]],
    *,
    old_pods_remain: bool,
    now: float,
) -> Plan:
    """Take one step from the old ReplicaSets to the new one, which is made if it is time for it."""
    every = [*old, *([new] if new is not None else [])]
    rolling = rollout.is_rolling(deployment)
    create = None
    if new is None and (rolling or not (old_pods_remain or rollout.total(old))):
        size = rollout.new_size(deployment, every, None)
        create = revisions.new_replicaset(deployment, old, size, rollout.most(deployment))
    if not rolling:
        sizes = rollout.recreate_step(deployment, new, old, old_pods_remain=old_pods_remain)
    else:
        sizes = rollout.rolling_step(deployment, new, old) if new is not None else {}
    update = _resized(deployment, new, old, sizes)
    status = deployment_status.rolling(deployment, _applied(every, update), new, now)
    status["conditions"] = deployment_status.paused(deployment, status["conditions"], now)
    done = not update and create is None and deployment_status.is_complete(deployment, status)
    return Plan(
        status,
        create=create,
        update=update,
        delete=_spare(deployment, old) if done else (),
        revision=_revision(create or new, update),
    )


def _resized(
    deployment: Object,
    new: dict[str, Any] | None,
    old: Sequence[dict[str, Any]],
    sizes: rollout.Sizes,
    *,
    annotate_all: bool = False,
) -> tuple[dict[str, Any], ...]:
    """Give the ReplicaSets that must be written: resized, renumbered, or with annotations to follow."""
    desired, most = rollout.desired(deployment), rollout.most(deployment)
    changed = []
    for replicaset in [*old, *([new] if new is not None else [])]:
        name = objects.name(replicaset)
        spec = dict(replicaset["spec"])
        annotations = dict(objects.annotations(replicaset))
        if replicaset is new:
            revision = revisions.next_revision(old)
            annotations = revisions.annotations_for(deployment, replicaset, revision, desired, most)
            wanted_s = int(objects.spec(deployment).get("minReadySeconds") or 0)
            if int(spec.get("minReadySeconds") or 0) != wanted_s:
                spec["minReadySeconds"] = wanted_s
        if name in sizes and (annotate_all or sizes[name] != rollout.size(replicaset)):
            spec["replicas"] = sizes[name]
            annotations |= revisions.size_annotations(desired, most)
        elif annotate_all and rollout.size(replicaset) > 0:
            # A change of spec.replicas that resizes nothing must still be noted, or it is seen for ever.
            annotations |= revisions.size_annotations(desired, most)
        if spec != replicaset["spec"] or annotations != objects.annotations(replicaset):
            meta = {**replicaset["metadata"], "annotations": annotations}
            changed.append({**replicaset, "metadata": meta, "spec": spec})
    return tuple(changed)


def _applied(replicasets: Sequence[Object], changed: Sequence[Object]) -> list[Object]:
    by_name = {objects.name(rs): rs for rs in changed}
    return [by_name.get(objects.name(rs), rs) for rs in replicasets]


def _revision(new: Object | None, changed: Sequence[Object]) -> str:
    if new is None:
        return ""
    (final,) = _applied([new], changed)
    return objects.annotations(final).get(revisions.REVISION, "")


def _spare(deployment: Object, old: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Choose the oldest revisions beyond spec.revisionHistoryLimit; only what has no Pods left goes."""
    limit = objects.spec(deployment).get("revisionHistoryLimit")
    if limit is None or limit == 2**31 - 1:
        return ()
    kept = [rs for rs in old if not objects.is_deleting(rs)]
    surplus = max(0, len(kept) - int(limit))
    return tuple(rs for rs in sorted(kept, key=revisions.revision_of)[:surplus] if _is_empty(rs))


def _is_empty(replicaset: Object) -> bool:
    status = objects.status(replicaset)
    return (
        rollout.size(replicaset) == 0
        and not status.get("replicas")
        and int(status.get("observedGeneration") or 0) >= objects.generation(replicaset)
    )


class DeploymentController:
    """Rolls every Deployment to its template."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._deployments = env.informers.of(DEPLOYMENTS)
        self._sets = env.informers.of(REPLICASETS)
        self._pods = env.informers.of(PODS)
        self._sets.add_index("controller", store.by_controller)
        self._pods.add_index("controller", store.by_controller)
        self.runner = runner.Runner("deployment", self.reconcile)
        self.runner.watches(self._deployments)
        self.runner.watches(self._sets, self._deployments_of)
        self.runner.reads(self._pods)
        self._pods.subscribe(self._pod_changed)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Take one Deployment a step further."""
        deployment = self._deployments.get(key)
        if deployment is None:
            return None
        selector = selectors.from_object(objects.spec(deployment).get("selector"))
        if selector.is_empty:
            message = "This deployment is selecting all pods. A non-empty selector is required."
            self._env.events.event(deployment, "Warning", "SelectingAll", message)
            return None
        owned = await self._claim(deployment, selector)
        now = self._env.clock.time()
        todo = plan(deployment, owned, old_pods_remain=self._old_pods_remain(deployment, owned), now=now)
        status = await self._write(deployment, todo)
        return deployment_status.deadline_in(deployment, status, now)

    async def _claim(self, deployment: Object, selector: selectors.LabelSelector) -> list[dict[str, Any]]:
        namespace = objects.namespace(deployment)
        orphans = [rs for rs in self._sets.by_index("controller", "") if objects.namespace(rs) == namespace]
        candidates = [*self._sets.by_index("controller", objects.uid(deployment)), *orphans]
        claim = claims.decide(deployment, selector, candidates)
        return await claims.settle(self._env.client, deployment, DEPLOYMENTS, REPLICASETS, claim)

    def _old_pods_remain(self, deployment: Object, owned: Sequence[dict[str, Any]]) -> bool:
        if rollout.is_rolling(deployment):
            return False  # nobody asks
        new = revisions.find_new(deployment, owned)
        return any(
            not pods.is_terminal(pod)
            for replicaset in owned
            if replicaset is not new
            for pod in self._pods.by_index("controller", objects.uid(replicaset))
        )

    async def _write(self, deployment: Object, todo: Plan) -> dict[str, Any]:
        """Carry a plan out; give the status written."""
        status = todo.status
        if todo.create is not None:
            status = await self._create(deployment, todo)
        for changed in todo.update:
            await self._update(deployment, changed)
        for spare in todo.delete:
            await self._delete(spare)
        # The revision goes with the status, as upstream writes it: a change of annotations alone would count
        # as a new generation.
        annotations = dict(objects.annotations(deployment))
        if todo.revision:
            annotations[revisions.REVISION] = todo.revision
        if status != objects.status(deployment) or annotations != objects.annotations(deployment):
            meta = {**deployment["metadata"], "annotations": annotations}
            body = {**deployment, "metadata": meta, "status": status}
            await self._env.client.update(DEPLOYMENTS, body, subresource="status")
        return status

    async def _create(self, deployment: Object, todo: Plan) -> dict[str, Any]:
        """Make the new ReplicaSet; give the status that tells of it."""
        replicaset = todo.create
        assert replicaset is not None
        name, size = objects.name(replicaset), rollout.size(replicaset)
        try:
            await self._env.client.create(REPLICASETS, replicaset)
        except errors.ApiError as err:
            if errors.is_already_exists(err):
                await self._collided(deployment, replicaset)
                return todo.status
            message = f'Failed to create new replica set "{name}": {err}'
            self._env.events.event(deployment, "Warning", deployment_status.CREATE_ERROR, message)
            failed = self._progress(deployment, todo, "False", deployment_status.CREATE_ERROR, message)
            await self._env.client.update(DEPLOYMENTS, {**deployment, "status": failed}, subresource="status")
            raise
        if size > 0:
            message = f"Scaled up replica set {name} from 0 to {size}"
            self._env.events.event(deployment, "Normal", "ScalingReplicaSet", message)
        message = f'Created new replica set "{name}"'
        return self._progress(deployment, todo, "True", deployment_status.CREATED, message)

    def _progress(
        self, deployment: Object, todo: Plan, status: str, reason: str, message: str
    ) -> dict[str, Any]:
        if not deployment_status.has_deadline(deployment):
            return todo.status
        now = self._env.clock.time()
        made = deployment_status.condition(deployment_status.PROGRESSING, status, reason, message, now)
        conditions = deployment_status.with_condition(todo.status["conditions"], made)
        return {**todo.status, "conditions": conditions}

    async def _collided(self, deployment: Object, replicaset: Object) -> None:
        """The name is taken: by our own (the cache is behind), or by another template of the same hash."""
        found = await self._env.client.get(
            REPLICASETS, objects.name(replicaset), objects.namespace(replicaset)
        )
        if objects.is_controlled_by(found, deployment) and revisions.find_new(deployment, [found]):
            return
        status = dict(objects.status(deployment))
        status["collisionCount"] = int(status.get("collisionCount") or 0) + 1
        await self._env.client.update(DEPLOYMENTS, {**deployment, "status": status}, subresource="status")
        raise errors.already_exists(REPLICASETS, objects.name(replicaset))

    async def _update(self, deployment: Object, changed: dict[str, Any]) -> None:
        before = self._sets.get(objects.key(changed))
        await self._env.client.update(REPLICASETS, changed)
        old, new = rollout.size(before or changed), rollout.size(changed)
        if old != new:
            direction = "up" if new > old else "down"
            message = f"Scaled {direction} replica set {objects.name(changed)} from {old} to {new}"
            self._env.events.event(deployment, "Normal", "ScalingReplicaSet", message)

    async def _delete(self, replicaset: Object) -> None:
        try:
            await self._env.client.delete(
                REPLICASETS,
                objects.name(replicaset),
                objects.namespace(replicaset),
                uid=objects.uid(replicaset),
            )
        except errors.ApiError as err:
            if err.code not in (404, 409):
                raise

    def _deployments_of(self, replicaset: Object) -> list[str]:
        reference = objects.controller_of(replicaset)
        namespace = objects.namespace(replicaset)
        if reference is not None:
            known = reference["kind"] == DEPLOYMENTS.kind
            return [objects.join_key(namespace, reference["name"])] if known else []
        return [
            objects.key(deployment)
            for deployment in self._deployments.list(namespace)
            if selectors.from_object(objects.spec(deployment).get("selector")).matches(
                objects.labels(replicaset)
            )
        ]

    def _pod_changed(self, change: informer.Change, old: Object | None, new: dict[str, Any]) -> None:
        """A Recreate Deployment waits for its old Pods to be gone."""
        if change != "DELETED" and not pods.is_terminal(new):
            return
        reference = objects.controller_of(new)
        if reference is None or reference["kind"] != REPLICASETS.kind:
            return
        replicaset = self._sets.get(objects.join_key(objects.namespace(new), reference["name"]))
        for key in self._deployments_of(replicaset) if replicaset is not None else ():
            deployment = self._deployments.get(key)
            if deployment is not None and not rollout.is_rolling(deployment):
                self.runner.queue.add(key)
