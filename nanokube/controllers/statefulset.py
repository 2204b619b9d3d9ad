"""StatefulSets: Pods with names, in order, each with claims of its own.

Source: pkg/controller/statefulset/{stateful_set,stateful_pod_control}.go.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Never

from nanokube.api import errors, objects, resources
from nanokube.api.objects import Object
from nanokube.client import refusals, runner, store
from nanokube.controllers import history, owned_pods, revision_guard, statefulset_plan
from nanokube.controllers.env import Env

STATEFULSETS = resources.get("statefulsets.apps")
PODS = resources.get("pods")
CLAIMS = resources.get("persistentvolumeclaims")


class StatefulSetController:
    """Brings every StatefulSet to its spec, step by step."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._sets = env.informers.of(STATEFULSETS)
        self._claims = env.informers.of(CLAIMS)
        self._claims.add_index("namespace", store.by_namespace)
        self._written = revision_guard.RevisionGuard()
        self.runner = runner.Runner("statefulset", self.reconcile)
        self._owned = owned_pods.OwnedPods(
            env, self.runner, STATEFULSETS, may_adopt=statefulset_plan.is_member
        )
        self._history = history.History(env, self.runner, STATEFULSETS)
        self.runner.reads(self._claims)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Take one step with one StatefulSet."""
        statefulset = self._sets.get(key)
        if statefulset is None:
            self._owned.expected.forget(key)
            self._written.forget(key)
            return None
        if not self._written.is_seen(key, statefulset):
            return 1.0
        found = await self._history.claim(statefulset)
        update, collisions = await self._history.current(statefulset, found)
        noted = objects.status(statefulset).get("currentRevision")
        current = next((each for each in found if objects.name(each) == noted), update)
        satisfied = self._owned.expected.satisfied(key)
        owned = await self._owned.claim(statefulset)
        view = statefulset_plan.View(
            statefulset, owned, current, update, self._claims_of(statefulset), self._env.clock.time()
        )
        todo = statefulset_plan.plan(view) if satisfied else statefulset_plan.Plan()
        failure = await self._act(key, view, todo)
        status = statefulset_plan.status(view, todo, collisions)
        if status != objects.status(statefulset):
            body = {**statefulset, "status": status}
            self._written.wrote(key, await self._env.client.update(STATEFULSETS, body, subresource="status"))
        if failure is not None:
            raise failure
        await self._drop_old(view, found)
        return statefulset_plan.next_available_s(view)

    def _claims_of(self, statefulset: Object) -> dict[str, Object]:
        if not objects.spec(statefulset).get("volumeClaimTemplates"):
            return {}
        found = self._claims.by_index("namespace", objects.namespace(statefulset))
        return {objects.name(claim): claim for claim in found}

    async def _act(
        self, key: str, view: statefulset_plan.View, todo: statefulset_plan.Plan
    ) -> Exception | None:
        """Carry a plan out as far as it goes; give what stopped it."""
        if todo.create or todo.delete:
            deletes = {objects.uid(pod) for pod in todo.delete}
            self._owned.expected.expect(key, creates=len(todo.create), deletes=deletes)
        try:
            for claim in todo.claims:
                await self._create_claim(view, claim)
            for claim in todo.owners:
                await self._env.client.update(CLAIMS, claim)
            for pod in todo.update:
                await self._do("update", view, pod, self._env.client.update(PODS, pod))
            for pod in todo.create:
                await self._create(key, view, pod)
            for pod in todo.delete:
                await self._delete(key, view, pod)
        except (errors.ApiError, OSError) as err:
            # What was not reached is not to be waited for.
            self._owned.expected.forget(key)
            return None if refusals.is_namespace_terminating(err) else err
        return None

    async def _create(self, key: str, view: statefulset_plan.View, pod: Object) -> None:
        try:
            await self._do("create", view, pod, self._env.client.create(PODS, pod))
        except errors.ApiError as err:
            if not errors.is_already_exists(err):
                raise
            there = await self._env.client.get(PODS, objects.name(pod), objects.namespace(pod))
            if not objects.is_controlled_by(there, view.statefulset):
                raise
            self._owned.expected.created(key)

    async def _delete(self, key: str, view: statefulset_plan.View, pod: Object) -> None:
        name, namespace, uid = objects.name(pod), objects.namespace(pod), objects.uid(pod)
        try:
            await self._do("delete", view, pod, self._env.client.delete(PODS, name, namespace, uid=uid))
        except errors.ApiError as err:
            if not errors.is_not_found(err):
                raise
            self._owned.expected.deleted(key, uid)

    async def _create_claim(self, view: statefulset_plan.View, claim: Object) -> None:
        pod = f"{objects.name(view.statefulset)}-{objects.name(claim).rpartition('-')[2]}"
        about = f"Claim {objects.name(claim)} Pod {pod} in StatefulSet {objects.name(view.statefulset)}"
        try:
            await self._env.client.create(CLAIMS, claim)
        except errors.ApiError as err:
            if errors.is_already_exists(err):
                return
            self._tell(view, "Warning", "FailedCreate", f"Create {about} failed error: {err}")
            raise
        self._tell(view, "Normal", "SuccessfulCreate", f"Create {about} success")

    async def _do(self, verb: str, view: statefulset_plan.View, pod: Object, call: Any) -> None:
        """Await a write of a Pod and tell how it went."""
        about = f"{verb.title()} Pod {objects.name(pod)} in StatefulSet {objects.name(view.statefulset)}"
        try:
            await call
        except errors.ApiError as err:
            if not (errors.is_already_exists(err) or errors.is_not_found(err)):
                self._tell(view, "Warning", f"Failed{verb.title()}", f"{about} failed error: {err}")
            raise
        self._tell(view, "Normal", f"Successful{verb.title()}", f"{about} successful")

    def _tell(self, view: statefulset_plan.View, type_: Any, reason: str, message: str) -> None:
        self._env.events.event(view.statefulset, type_, reason, message)

    async def _drop_old(self, view: statefulset_plan.View, found: Sequence[dict[str, Any]]) -> None:
        limit = view.spec.get("revisionHistoryLimit")
        live = {objects.name(view.current), objects.name(view.update), *_revisions_of(view.owned)}
        for old in history.surplus(found, live, 10 if limit is None else int(limit)):
            await self._history.delete(old)


def _revisions_of(owned: Iterable[Object]) -> set[str]:
    return {objects.labels(pod).get(history.HASH_LABEL, "") for pod in owned}
