"""Keeps volumes, claims and attributes classes from going while they are in use, by a finalizer each.

Admission gives new objects their finalizer; those made without it get it here. It is taken off what is being
deleted and no longer used.
Source: pkg/controller/volume/{pvcprotection,pvprotection,vacprotection}.
"""

from collections.abc import Iterable, Iterator
from typing import Never

from nanokube.api import objects, resources, volume_binding
from nanokube.api.objects import Object
from nanokube.client import runner
from nanokube.controllers.env import Env

PODS = resources.get("pods")
CLAIMS = resources.get("persistentvolumeclaims")
VOLUMES = resources.get("persistentvolumes")
CLASSES = resources.get("volumeattributesclasses.storage.k8s.io")
CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"
CLASS_FINALIZER = "kubernetes.io/vac-protection"


def is_held(claim: Object, by: Iterable[Object]) -> bool:
    """Tell whether a Pod of the claim's namespace keeps a claim from going.

    One that has no node yet does not: kubelets start none whose claim is being deleted. One that ended does,
    until it is deleted; but not its own ephemeral claims, which might wait for it as it waits for them.
    """
    return any(objects.spec(pod).get("nodeName") and _names(pod, claim) for pod in by)


def _names(pod: Object, claim: Object) -> bool:
    name = objects.name(claim)
    for named, is_ephemeral in volume_binding.claims_of(pod):
        if named == name and not is_ephemeral:
            return True
        if named == name and objects.is_controlled_by(claim, pod) and not _is_shut_down(pod):
            return True
    return False


def _is_shut_down(pod: Object) -> bool:
    return objects.is_deleting(pod) and pod["metadata"].get("deletionGracePeriodSeconds") == 0


def classes_of(obj: Object) -> Iterator[str]:
    """Name the attributes classes that a volume or claim has, or is to have."""
    status = objects.status(obj)
    names = (
        objects.spec(obj).get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    )
    return (name for name in names if name)


def _claim_keys(pod: Object) -> list[str]:
    return [objects.join_key(objects.namespace(pod), name) for name, _ in volume_binding.claims_of(pod)]


class VolumeProtectionController:
    """A volume is in use while it is bound; a class, while a volume or claim names it; a claim: is_held."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._pods = env.informers.of(PODS)
        self._claims = env.informers.of(CLAIMS)
        self._volumes = env.informers.of(VOLUMES)
        self._classes = env.informers.of(CLASSES)
        self.runner = runner.Runner("volume-protection", self.reconcile)
        self.runner.watches(self._claims, lambda claim: (objects.key(claim), *classes_of(claim)))
        self.runner.watches(self._volumes, lambda volume: (objects.name(volume), *classes_of(volume)))
        self.runner.watches(self._classes)
        self.runner.watches(self._pods, _claim_keys)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Look after one claim ("namespace/name"), or the volume and the class of a name."""
        claim = self._claims.get(key) if "/" in key else None
        if claim is not None:
            await self._settle(CLAIMS, claim, CLAIM_FINALIZER)
        volume = self._volumes.get(key)
        if volume is not None:
            await self._settle(VOLUMES, volume, VOLUME_FINALIZER)
        attributes_class = self._classes.get(key)
        if attributes_class is not None:
            await self._settle(CLASSES, attributes_class, CLASS_FINALIZER)
        return None

    async def _settle(self, resource: resources.Resource, obj: Object, finalizer: str) -> None:
        found = list(objects.finalizers(obj))
        if not objects.is_deleting(obj):
            if finalizer not in found:
                await self._write(resource, obj, [*found, finalizer])
        elif finalizer in found and not await self._is_used(resource, obj):
            await self._write(resource, obj, [each for each in found if each != finalizer])

    async def _is_used(self, resource: resources.Resource, obj: Object) -> bool:
        if resource is VOLUMES:
            return objects.status(obj).get("phase") == "Bound"
        if resource is CLASSES:
            others = (*self._volumes.list(), *self._claims.list())
            return any(objects.name(obj) in classes_of(other) for other in others)
        namespace = objects.namespace(obj)
        if is_held(obj, (pod for pod in self._pods.list() if objects.namespace(pod) == namespace)):
            return True
        listed = await self._env.client.list(PODS, namespace)  # the cache may be behind
        return is_held(obj, listed.items)

    async def _write(self, resource: resources.Resource, obj: Object, finalizers: list[str]) -> None:
        metadata = {**obj["metadata"], "finalizers": finalizers}
        await self._env.client.update(resource, {**obj, "metadata": metadata})
