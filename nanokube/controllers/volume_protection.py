"""Takes the protecting finalizers off volumes and claims that are being deleted and no longer in use.

Source: pkg/controller/volume/{pvcprotection,pvprotection}.
"""

from collections.abc import Iterator
from typing import Never

from nanokube.api import objects, resources
from nanokube.api.objects import Object
from nanokube.client import runner
from nanokube.controllers import pods
from nanokube.controllers.env import Env

PODS = resources.get("pods")
CLAIMS = resources.get("persistentvolumeclaims")
VOLUMES = resources.get("persistentvolumes")
CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"


def claims_of(pod: Object) -> Iterator[str]:
    """Name the claims that a Pod uses, generic ephemeral volumes included."""
    for volume in objects.spec(pod).get("volumes") or ():
        if volume.get("persistentVolumeClaim") is not None:
            yield volume["persistentVolumeClaim"].get("claimName", "")
        elif volume.get("ephemeral") is not None:
            yield f"{objects.name(pod)}-{volume['name']}"


def _claim_keys(pod: Object) -> list[str]:
    return [objects.join_key(objects.namespace(pod), name) for name in claims_of(pod)]


class VolumeProtectionController:
    """A claim is in use while a Pod that has not ended names it; a volume, while it is bound."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._pods = env.informers.of(PODS)
        self._claims = env.informers.of(CLAIMS)
        self._volumes = env.informers.of(VOLUMES)
        self.runner = runner.Runner("volume-protection", self.reconcile)
        self.runner.watches(self._claims)
        self.runner.watches(self._volumes)
        self.runner.watches(self._pods, _claim_keys)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Let one claim ("namespace/name") or volume ("name") go if it may."""
        if "/" in key:
            claim = self._claims.get(key)
            if claim is not None and not self._is_used(key):
                await self._release(CLAIMS, claim, CLAIM_FINALIZER)
            return None
        volume = self._volumes.get(key)
        if volume is not None and objects.status(volume).get("phase") != "Bound":
            await self._release(VOLUMES, volume, VOLUME_FINALIZER)
        return None

    def _is_used(self, key: str) -> bool:
        namespace, name = objects.split_key(key)
        return any(
            objects.namespace(pod) == namespace and not pods.is_terminal(pod) and name in claims_of(pod)
            for pod in self._pods.list()
        )

    async def _release(self, resource: resources.Resource, obj: Object, finalizer: str) -> None:
        found = objects.finalizers(obj)
        if not objects.is_deleting(obj) or finalizer not in found:
            return
        kept = [f for f in found if f != finalizer]
        await self._env.client.update(resource, {**obj, "metadata": {**obj["metadata"], "finalizers": kept}})
