"""The Pods that the objects of one kind own: claiming, creating and deleting them, hearing of their changes.

Every workload controller keeps one of these beside its runner. Creates and deletes are remembered as
expectations until the cache shows them; batches grow 1, 2, 4, ..., so that a template that cannot be admitted
costs one refusal.
Source: pkg/controller/controller_utils.go (RealPodControl, SlowStart), controller_ref_manager.go.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from nanokube.api import errors, objects, resources, selectors
from nanokube.api.objects import Object
from nanokube.client import informer, refusals, runner, store
from nanokube.controllers import claims, expectations
from nanokube.controllers.env import Env

PODS = resources.get("pods")
SLOW_START = 1  # controller_utils.go: SlowStartInitialBatchSize


def selector_of(owner: Object) -> selectors.LabelSelector:
    """Compile spec.selector."""
    return selectors.from_object(objects.spec(owner).get("selector"))


def anything(owner: Object, pod: Object) -> bool:
    """Let an owner adopt every orphan that its selector matches."""
    return True


class OwnedPods:
    """Pods by the owner's key, for the owners that one runner reconciles.

    finalizers: held by every owned Pod; adoption adds and release removes them.
    """

    def __init__(
        self,
        env: Env,
        run: runner.Runner,
        resource: resources.Resource,
        *,
        selector: Callable[[Object], selectors.LabelSelector] = selector_of,
        may_adopt: Callable[[Object, Object], bool] = anything,
        finalizers: Sequence[str] = (),
    ) -> None:
        self._env = env
        self._queue = run.queue
        self._resource = resource
        self._selector = selector
        self._may_adopt = may_adopt
        self._finalizers = finalizers
        self._owners = env.informers.of(resource)
        self._pods = env.informers.of(PODS)
        self._owners.add_index("namespace", store.by_namespace)
        self._pods.add_index("controller", store.by_controller)
        self.expected = expectations.Expectations(env.clock)
        run.watches(self._owners)
        run.reads(self._pods)
        self._pods.subscribe(self._pod_changed)

    async def claim(self, owner: Object) -> list[dict[str, Any]]:
        """Adopt and release as the selector says; give the Pods owned then. Raises ApiError, OSError."""
        namespace = objects.namespace(owner)
        orphans = [
            pod
            for pod in self._pods.by_index("controller", "")
            if objects.namespace(pod) == namespace and self._may_adopt(owner, pod)
        ]
        candidates = [*self._pods.by_index("controller", objects.uid(owner)), *orphans]
        claim = claims.decide(owner, self._selector(owner), candidates)
        return await claims.settle(
            self._env.client, owner, self._resource, PODS, claim, finalizers=self._finalizers
        )

    def present(self, owner: Object) -> list[dict[str, Any]]:
        """Give the Pods that name owner as their controller, as cached."""
        return self._pods.by_index("controller", objects.uid(owner))

    async def create(
        self, key: str, owner: Object, pods: Sequence[Object], *, first_batch: int = SLOW_START
    ) -> tuple[int, Exception | None]:
        """Create Pods in growing batches until one fails; give how many there are now, and the failure.

        A namespace that is being deleted is no failure. The caller has said expect(creates=len(pods)).
        """
        done, size = 0, first_batch
        while done < len(pods):
            batch = pods[done : done + size]
            outcomes = await asyncio.gather(
                *(self._create_one(key, owner, pod) for pod in batch), return_exceptions=True
            )
            failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
            if failures:
                self.expected.created(key, len(pods) - done - len(batch))
                failure = None if refusals.is_namespace_terminating(failures[0]) else failures[0]
                return done + len(batch) - len(failures), failure
            done += len(batch)
            size *= 2
        return done, None

    async def delete(
        self, key: str, owner: Object, pods: Sequence[Object]
    ) -> tuple[list[Object], Exception | None]:
        """Delete Pods at once; give those that are deleted or gone, and the first failure."""
        outcomes = await asyncio.gather(
            *(self._delete_one(key, owner, pod) for pod in pods), return_exceptions=True
        )
        failure = next((outcome for outcome in outcomes if isinstance(outcome, Exception)), None)
        gone = [pod for pod, outcome in zip(pods, outcomes, strict=True) if outcome is None]
        return gone, failure

    async def _create_one(self, key: str, owner: Object, pod: Object) -> None:
        try:
            created = await self._env.client.create(PODS, pod)
        except Exception as err:
            self.expected.created(key)
            if not refusals.is_namespace_terminating(err):
                self._env.events.event(owner, "Warning", "FailedCreate", f"Error creating: {err}")
            raise
        name = objects.name(created)
        self._env.events.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name}")

    async def _delete_one(self, key: str, owner: Object, pod: Object) -> None:
        name, uid = objects.name(pod), objects.uid(pod)
        try:
            await self._env.client.delete(PODS, name, objects.namespace(pod), uid=uid)
        except Exception as err:
            self.expected.deleted(key, uid)
            if errors.is_not_found(err):
                return
            self._env.events.event(owner, "Warning", "FailedDelete", f"Error deleting: {err}")
            raise
        self._env.events.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")

    def _pod_changed(self, change: informer.Change, old: Object | None, new: dict[str, Any]) -> None:
        reference = objects.controller_of(new)
        before = objects.controller_of(old) if old is not None else None
        if before is not None and (reference is None or before["uid"] != reference["uid"]):
            self._enqueue_owner(new, before)
        if reference is None:
            self._enqueue_adopters(new)
            return
        key = self._enqueue_owner(new, reference)
        if key and change == "ADDED":
            self.expected.created(key)
        if key and (change == "DELETED" or objects.is_deleting(new)):
            self.expected.deleted(key, objects.uid(new))

    def _enqueue_owner(self, pod: Object, reference: Object) -> str:
        group = reference["apiVersion"].rpartition("/")[0]
        if (reference["kind"], group) != (self._resource.kind, self._resource.group):
            return ""
        key = objects.join_key(objects.namespace(pod), reference["name"])
        self._queue.add(key)
        return key

    def _enqueue_adopters(self, pod: Object) -> None:
        for owner in self._owners.by_index("namespace", objects.namespace(pod)):
            if self._selector(owner).matches(objects.labels(pod)):
                self._queue.add(objects.key(owner))
