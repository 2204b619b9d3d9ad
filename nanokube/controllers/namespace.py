"""Empties a namespace that is being deleted, then lets it go. Pods first (KEP-5080).

Source: pkg/controller/namespace/deletion/{namespaced_resources_deleter,status_condition_utils}.go.
"""

import collections
import dataclasses
import logging
from typing import Any, Never

from nanokube.api import errors, objects, resources, timestamps
from nanokube.api.objects import Object
from nanokube.client import discovery, runner
from nanokube.controllers.env import Env

log = logging.getLogger(__name__)

NAMESPACES = resources.get("namespaces")
FINALIZER = "kubernetes"
PODS = "pods"
RETRY_S = 1.0
LATER_S = 15.0  # namespaced_resources_deleter.go: finalizerEstimateSeconds

# condition type -> (reason, message) when all is well
GOOD = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": (
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": (
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
    ),
}


@dataclasses.dataclass(slots=True)
class Progress:
    """What one sweep found: objects left a resource, the finalizers that hold some, what failed."""

    remaining: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    finalizers: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    failures: list[str] = dataclasses.field(default_factory=list)
    discovery_failure: str = ""
    grace_s: float = 0.0

    @property
    def is_done(self) -> bool:
        return not self.remaining and not self.failures and not self.discovery_failure


def silence(versions: list[str]) -> str:
    """Word that servers of group-versions do not answer. Pure."""
    causes = ", ".join(f"{each}: stale GroupVersion discovery: {each}" for each in sorted(versions))
    about = "unable to retrieve the complete list of server APIs"
    return f"Discovery failed for some groups, {len(versions)} failing: {about}: {causes}"


def conditions(progress: Progress, before: list[Object], now: float) -> list[dict[str, Any]]:
    """Tell a sweep's outcome as the namespace's conditions. Pure."""
    bad: dict[str, tuple[str, str]] = {}
    if progress.discovery_failure:
        bad["NamespaceDeletionDiscoveryFailure"] = ("DiscoveryFailed", progress.discovery_failure)
    if progress.failures:
        listed = ", ".join(sorted(progress.failures))
        message = f"Failed to delete all resource types, {len(progress.failures)} remaining: {listed}"
        bad["NamespaceDeletionContentFailure"] = ("ContentDeletionFailed", message)
    if progress.remaining:
        counts = (f"{name} has {count} resource instances" for name, count in progress.remaining.items())
        message = f"Some resources are remaining: {', '.join(sorted(counts))}"
        bad["NamespaceContentRemaining"] = ("SomeResourcesRemain", message)
    if progress.finalizers:
        counts = (f"{name} in {count} resource instances" for name, count in progress.finalizers.items())
        message = f"Some content in the namespace has finalizers remaining: {', '.join(sorted(counts))}"
        bad["NamespaceFinalizersRemaining"] = ("SomeFinalizersRemain", message)
    found = {condition["type"]: dict(condition) for condition in before}
    for type_, good in GOOD.items():
        reason, message = bad.get(type_, good)
        status = "True" if type_ in bad else "False"
        old = found.get(type_, {})
        since = old.get("lastTransitionTime") if old.get("status") == status else None
        found[type_] = {
            "type": type_,
            "status": status,
            "lastTransitionTime": since or timestamps.format_time(now),
            "reason": reason,
            "message": message,
        }
    return list(found.values())


class NamespaceController:
    """Sweeps namespaces whose deletion began."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._namespaces = env.informers.of(NAMESPACES)
        self.runner = runner.Runner("namespace", self.reconcile)
        self.runner.watches(self._namespaces)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Sweep one namespace once."""
        cached = self._namespaces.get(key)
        if cached is None or not objects.is_deleting(cached):
            return None
        try:
            namespace = await self._env.client.get(NAMESPACES, key)
        except errors.ApiError as err:
            if err.code == 404:
                return None
            raise
        if objects.uid(namespace) != objects.uid(cached):
            return None
        if FINALIZER not in (objects.spec(namespace).get("finalizers") or ()):
            return None  # others still finalize, or the server is about to remove it
        progress = await self._sweep(key)
        namespace = await self._tell(namespace, progress)
        if progress.is_done:
            await self._finalize(namespace)
            return None
        return min(LATER_S, progress.grace_s / 2 + RETRY_S)

    async def _sweep(self, namespace: str) -> Progress:
        progress = Progress()
        try:
            known, silent = await discovery.survey(self._env.client)
            if silent:  # there may be objects of theirs
                progress.discovery_failure = silence(silent)
        except (errors.ApiError, OSError) as err:
            progress.discovery_failure = str(err)
            known = list(resources.ALL)
        deletable = [found for found in known if found.namespaced and {"list", "delete"} <= set(found.verbs)]
        for resource in sorted(deletable, key=lambda found: found.name != PODS):
            await self._empty(resource, namespace, progress)
            if resource.name == PODS and progress.remaining:
                break  # the rest goes when nobody runs who may need it
        return progress

    async def _empty(self, resource: resources.Resource, namespace: str, progress: Progress) -> None:
        """Delete every object of one resource, and note what is left."""
        client = self._env.client
        try:
            left = (await client.list(resource, namespace)).items
            if not left:
                return
            if any(not objects.is_deleting(obj) for obj in left):
                if "deletecollection" in resource.verbs:
                    await client.delete_collection(resource, namespace, propagation="Background")
                else:
                    for obj in left:
                        await self._delete(resource, obj)
                left = (await client.list(resource, namespace)).items
        except errors.ApiError as err:
            if err.code not in (404, 405):
                progress.failures.append(f"{resource.name}: {err}")
            return
        if left:
            progress.remaining[f"{resource.plural}.{resource.group}"] += len(left)
        for obj in left:
            progress.finalizers.update(objects.finalizers(obj))
            grace_s = float(objects.metadata(obj).get("deletionGracePeriodSeconds") or 0)
            progress.grace_s = max(progress.grace_s, grace_s)

    async def _delete(self, resource: resources.Resource, obj: Object) -> None:
        try:
            await self._env.client.delete(
                resource, objects.name(obj), objects.namespace(obj), propagation="Background"
            )
        except errors.ApiError as err:
            if err.code != 404:
                raise

    async def _tell(self, namespace: dict[str, Any], progress: Progress) -> dict[str, Any]:
        before = objects.conditions(namespace)
        found = conditions(progress, before, self._env.clock.time())
        if found == before or (progress.is_done and not before):
            return namespace
        status = {**objects.status(namespace), "conditions": found}
        return await self._env.client.update(
            NAMESPACES, {**namespace, "status": status}, subresource="status"
        )

    async def _finalize(self, namespace: dict[str, Any]) -> None:
        spec = dict(objects.spec(namespace))
        spec["finalizers"] = [name for name in spec.get("finalizers") or () if name != FINALIZER]
        try:
            await self._env.client.update(NAMESPACES, {**namespace, "spec": spec}, subresource="finalize")
        except errors.ApiError as err:
            if err.code != 404:
                raise
        log.info("namespace emptied: namespace=%s", objects.name(namespace))
