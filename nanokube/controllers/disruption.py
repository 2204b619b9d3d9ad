"""PodDisruptionBudgets: keeps count of how many Pods may be ended, for whoever evicts.

Source: pkg/controller/disruption/disruption.go.
"""

import asyncio
from typing import Any, Never

from nanokube.api import errors, objects, resources, selectors, timestamps
from nanokube.api.objects import Object
from nanokube.client import informer, runner, store
from nanokube.client.interface import PatchKind
from nanokube.controllers import disruption_status, pods
from nanokube.controllers.env import Env

BUDGETS = resources.get("poddisruptionbudgets.policy")
PODS = resources.get("pods")
SCALED = {
    resource.kind: resource
    for resource in map(
        resources.get,
        ("replicasets.apps", "deployments.apps", "statefulsets.apps", "replicationcontrollers"),
    )
}
STALE_S = 120.0  # disruption.go: stalePodDisruptionTimeout
TARGET = "DisruptionTarget"


class DisruptionController:
    """Counts budgets; takes back the mark of an eviction that came to nothing."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._budgets = env.informers.of(BUDGETS)
        self._pods = env.informers.of(PODS)
        self._owners = {kind: env.informers.of(resource) for kind, resource in SCALED.items()}
        self._budgets.add_index("namespace", store.by_namespace)
        self._pods.add_index("namespace", store.by_namespace)
        self.runner = runner.Runner("disruption", self.reconcile)
        self._stale = runner.Runner("stale-disruption", self.clear_stale, workers=1)
        self.runner.watches(self._budgets)
        for source in (self._pods, *self._owners.values()):
            self.runner.reads(source)
        self._stale.reads(self._pods)
        self._pods.subscribe(self._pod_changed)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.runner.run(), name="disruption budgets")
            group.create_task(self._stale.run(), name="stale disruptions")
        raise AssertionError("runners never end")

    async def reconcile(self, key: str) -> float | None:
        """Bring one budget's status up to date."""
        budget = self._budgets.get(key)
        if budget is None:
            return None
        selector = selectors.from_object(objects.spec(budget).get("selector"))
        found = [
            pod
            for pod in self._pods.by_index("namespace", objects.namespace(budget))
            if selector.matches(objects.labels(pod))
        ]
        verdict = disruption_status.judge(budget, found, self._scale_of, self._env.clock.time())
        for event in verdict.events:
            self._env.events.event(budget, *event)
        for pod in verdict.undeleted:
            message = f"Pod was expected by PDB {key} to be deleted but it wasn't"
            self._env.events.event(pod, "Warning", "NotDeleted", message)
        if verdict.status != objects.status(budget):
            # With the resourceVersion: an eviction counted meanwhile must not be lost.
            await self._env.client.update(BUDGETS, {**budget, "status": verdict.status}, subresource="status")
        return verdict.again_s

    def _scale_of(self, reference: Object, namespace: str) -> tuple[str, int] | None:
        """Find who decides how many Pods there are: a ReplicaSet's Deployment, if it has one."""
        source = self._owners.get(reference["kind"])
        owner = source.get(objects.join_key(namespace, reference["name"])) if source is not None else None
        if owner is None or objects.uid(owner) != reference["uid"]:
            return None
        above = objects.controller_of(owner)
        if above is not None and above["kind"] == "Deployment":
            return self._scale_of(above, namespace)
        return objects.uid(owner), objects.replicas(owner)

    async def clear_stale(self, key: str) -> float | None:
        """Set condition DisruptionTarget to False on a Pod that lives on long after it was marked."""
        pod = self._pods.get(key)
        left_s = stale_in(pod, self._env.clock.time()) if pod is not None else None
        if pod is None or left_s is None or left_s > 0:
            return left_s
        stamp = timestamps.format_time(self._env.clock.time())
        generation = objects.generation(pod)
        condition = {
            "type": TARGET,
            "observedGeneration": generation,
            "status": "False",
            "lastTransitionTime": stamp,
        }
        cleared = {**condition, "reason": None, "message": None}
        body = {"metadata": {"uid": objects.uid(pod)}, "status": {"conditions": [cleared]}}
        name, namespace = objects.name(pod), objects.namespace(pod)
        try:
            await self._env.client.patch(
                PODS, name, body, namespace, kind=PatchKind.STRATEGIC, subresource="status"
            )
        except errors.ApiError as err:
            if err.code not in (404, 409):
                raise
        return None

    def _pod_changed(self, change: informer.Change, old: Object | None, new: dict[str, Any]) -> None:
        for budget in self._budgets.by_index("namespace", objects.namespace(new)):
            selector = selectors.from_object(objects.spec(budget).get("selector"))
            if any(selector.matches(objects.labels(pod)) for pod in (old, new) if pod is not None):
                self.runner.queue.add(objects.key(budget))
        if objects.is_condition_true(new, TARGET) and change != "DELETED":
            self._stale.queue.add(objects.key(new))


def stale_in(pod: Object, now: float) -> float | None:
    """Give the seconds until a Pod's mark of disruption is stale; None if it has none or is ending. Pure."""
    condition = objects.condition(pod, TARGET)
    if condition is None or condition.get("status") != "True" or pods.is_terminal(pod):
        return None
    if objects.is_deleting(pod) or condition.get("reason") == "TerminationByKubelet":
        return None
    since = condition.get("lastTransitionTime")
    return max(0.0, (timestamps.parse(since) if since else now) + STALE_S - now)
