"""Binds claims to volumes that are there; waits for those that others provision.

Binding is two writes, the volume's first: a crash between them leaves a volume reserved for its claim, which
the next look completes.
Source: pkg/controller/volume/persistentvolume/pv_controller.go.
"""

from collections.abc import Iterable
from typing import Any, Never

from nanokube.api import errors, objects, resources, volume_binding
from nanokube.api.objects import Object
from nanokube.client import runner
from nanokube.controllers.env import Env

CLAIMS = resources.get("persistentvolumeclaims")
VOLUMES = resources.get("persistentvolumes")
CLASSES = resources.get("storageclasses.storage.k8s.io")


class VolumeBinderController:
    """One worker: two claims must not choose one volume."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._claims = env.informers.of(CLAIMS)
        self._volumes = env.informers.of(VOLUMES)
        self._classes = env.informers.of(CLASSES)
        self.runner = runner.Runner("volume-binder", self.reconcile, workers=1)
        self.runner.watches(self._claims, self._keys_of_claim)
        self.runner.watches(self._volumes, self._keys_of_volume)
        self.runner.watches(self._classes, self._waiting_keys)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Look after one claim ("namespace/name") or volume ("name")."""
        if "/" in key:
            claim = self._claims.get(key)
            if claim is not None:
                await self._settle_claim(claim)
        elif (volume := self._volumes.get(key)) is not None:
            await self._settle_volume(volume)
        return None

    async def _settle_claim(self, claim: Object) -> None:
        name = objects.spec(claim).get("volumeName")
        volume = self._volumes.get(name) if name else None
        if name and volume is None:
            if volume_binding.COMPLETED in objects.annotations(claim):
                await self._lose(
                    claim, "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
                )
            else:
                await self._set_phase(claim, "Pending")  # its volume may still be made
            return
        if volume is not None:
            await self._take_named(claim, volume)
            return
        if objects.is_deleting(claim):
            return
        found = volume_binding.best(claim, self._volumes.list())
        if found is not None and (volume_binding.is_for(found, claim) or not self._is_late(claim)):
            await self._bind(claim, found)
        else:
            await self._set_phase(claim, "Pending")
            await self._tell_waiting(claim)

    async def _take_named(self, claim: Object, volume: dict[str, Any]) -> None:
        """Bind a claim to the volume it names, unless that is another's."""
        reference = objects.spec(volume).get("claimRef")
        is_completed = volume_binding.COMPLETED in objects.annotations(claim)
        cause = volume_binding.mismatch(claim, volume)
        if reference is None and not is_completed and cause:
            message = f'Cannot bind to requested volume "{objects.name(volume)}": {cause}'
            self._env.events.event(claim, "Warning", "VolumeMismatch", message)
            await self._set_phase(claim, "Pending")
        elif reference is None or volume_binding.is_for(volume, claim):
            await self._bind(claim, volume)
        elif is_completed:
            await self._lose(
                claim,
                "Two claims are bound to the same volume, this one is bound incorrectly",
                reason="ClaimMisbound",
            )
        else:
            message = f'volume "{objects.name(volume)}" already bound to a different claim.'
            self._env.events.event(claim, "Warning", "FailedBinding", message)
            await self._set_phase(claim, "Pending")

    async def _bind(self, claim: Object, volume: dict[str, Any]) -> None:
        wanted = volume_binding.reserved(volume, claim)
        if wanted != volume:
            volume = await self._env.client.update(VOLUMES, wanted)
        await self._write_volume_phase(volume, "Bound")
        named = volume_binding.bound(claim, volume)
        if named != claim:
            claim = await self._env.client.update(CLAIMS, named)
        status = volume_binding.claim_status(claim, volume)
        if status != objects.status(claim):
            await self._env.client.update(CLAIMS, {**claim, "status": status}, subresource="status")

    async def _settle_volume(self, volume: Object) -> None:
        reference = objects.spec(volume).get("claimRef") or {}
        key = objects.join_key(reference.get("namespace", ""), reference.get("name", ""))
        claim: Object | None = self._claims.get(key)
        if claim is None and reference.get("uid"):
            claim = await self._fresh_claim(reference)
        phase = volume_binding.volume_phase(volume, claim)
        cause = volume_binding.not_reclaimed(volume) if phase == "Released" else None
        if cause is not None:
            self._env.events.event(volume, "Warning", *cause)
        await self._write_volume_phase(volume, "Failed" if cause else phase, cause[1] if cause else "")

    async def _fresh_claim(self, reference: Object) -> Object | None:
        """Ask the server before a volume is called released: the cache may be behind."""
        try:
            return await self._env.client.get(CLAIMS, reference["name"], reference["namespace"])
        except errors.ApiError as err:
            if errors.is_not_found(err):
                return None
            raise

    async def _write_volume_phase(self, volume: Object, phase: str, message: str = "") -> None:
        if objects.status(volume).get("phase") != phase:
            status = {key: value for key, value in objects.status(volume).items() if key != "message"}
            status |= {"phase": phase, **({"message": message} if message else {})}
            body = {**volume, "status": status}
            await self._env.client.update(VOLUMES, body, subresource="status")

    async def _set_phase(self, claim: Object, phase: str) -> None:
        if objects.status(claim).get("phase") != phase:
            body = {**claim, "status": {**objects.status(claim), "phase": phase}}
            await self._env.client.update(CLAIMS, body, subresource="status")

    async def _lose(self, claim: Object, message: str, *, reason: str = "ClaimLost") -> None:
        if objects.status(claim).get("phase") != "Lost":
            self._env.events.event(claim, "Warning", reason, message)
        await self._set_phase(claim, "Lost")

    def _is_late(self, claim: Object) -> bool:
        """Tell whether a claim is bound only once a Pod that uses it has a node."""
        found = self._classes.get(volume_binding.class_of(claim))
        late = found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"
        return late and volume_binding.SELECTED_NODE not in objects.annotations(claim)

    async def _tell_waiting(self, claim: Object) -> None:
        name = volume_binding.class_of(claim)
        found = self._classes.get(name) if name else None
        provisioner = str((found or {}).get("provisioner") or "")
        if self._is_late(claim):
            reason, message = (
                "WaitForFirstConsumer",
                "waiting for first consumer to be created before binding",
            )
        elif not name:
            reason = "FailedBinding"
            message = "no persistent volumes available for this claim and no storage class is set"
        elif found is None:
            message = f'storageclass.storage.k8s.io "{name}" not found'
            self._env.events.event(claim, "Warning", "ProvisioningFailed", message)
            return
        elif provisioner == volume_binding.NO_PROVISIONER:
            reason, message = "FailedBinding", "no persistent volumes available for this claim"
        else:
            await self._ask_provisioner(claim, provisioner)
            reason = "ExternalProvisioning"
            message = (
                f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or "
                "manually by the system administrator. If volume creation is delayed, please verify that the "
                "provisioner is running and correctly registered."
            )
        self._env.events.event(claim, "Normal", reason, message)

    async def _ask_provisioner(self, claim: Object, provisioner: str) -> None:
        wanted = {key: provisioner for key in (volume_binding.PROVISIONER, volume_binding.OLD_PROVISIONER)}
        if wanted.items() <= objects.annotations(claim).items():
            return
        body = {"metadata": {"uid": objects.uid(claim), "annotations": wanted}}
        await self._env.client.patch(CLAIMS, objects.name(claim), body, objects.namespace(claim))

    def _keys_of_claim(self, claim: Object) -> Iterable[str]:
        yield objects.key(claim)
        if name := objects.spec(claim).get("volumeName"):
            yield name
        for volume in self._volumes.list():
            if volume_binding.is_for(volume, claim):
                yield objects.name(volume)

    def _keys_of_volume(self, volume: Object) -> Iterable[str]:
        yield objects.name(volume)
        reference = objects.spec(volume).get("claimRef") or {}
        if reference.get("name"):
            yield objects.join_key(reference.get("namespace", ""), reference["name"])
        else:
            yield from self._waiting_keys(volume)
        for claim in self._claims.list():
            if objects.spec(claim).get("volumeName") == objects.name(volume):
                yield objects.key(claim)

    def _waiting_keys(self, changed: Object) -> Iterable[str]:
        """Name the claims that a new volume or class may help."""
        return [
            objects.key(claim) for claim in self._claims.list() if not objects.spec(claim).get("volumeName")
        ]
