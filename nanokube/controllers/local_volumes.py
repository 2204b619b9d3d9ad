"""The provisioner of the built-in storage class: each volume is a directory on the node its Pod goes to.

    claim with a chosen node ──> directory (its kubelet's) ──> PersistentVolume ──> bound by volume_binder
    volume released, or deleted ──> directory removed, if its policy is Delete ──> PersistentVolume gone
The kubelet is asked through the API server's node proxy, and knows no names but those of such volumes.
A finalizer keeps a volume in the API until its data is gone.
Source: sig-storage-lib-external-provisioner controller.go (steps, names of annotations, events).
"""

import urllib.parse
from collections.abc import Iterable
from typing import Any, Never

import orjson

from nanokube.api import errors, objects, quantity, resources, volume_binding
from nanokube.api.objects import Object
from nanokube.client import runner
from nanokube.controllers.env import Env

CLAIMS = resources.get("persistentvolumeclaims")
VOLUMES = resources.get("persistentvolumes")
CLASSES = resources.get("storageclasses.storage.k8s.io")
NODES = resources.get("nodes")
HOSTNAME = "kubernetes.io/hostname"
NODE = "nanokube.io/node"  # annotation of a volume: the name of the Node that has it
FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
PROTECTION = "kubernetes.io/pv-protection"
MODES = {"ReadWriteOnce", "ReadWriteOncePod"}
LISTEN_S = 30.0  # between looks at whether a silent node is back


class LocalVolumesController:
    """Provisions, grows and removes."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._claims = env.informers.of(CLAIMS)
        self._volumes = env.informers.of(VOLUMES)
        self._classes = env.informers.of(CLASSES)
        self._nodes = env.informers.of(NODES)
        self.runner = runner.Runner("local-volumes", self.reconcile)
        self.runner.watches(self._claims)
        self.runner.watches(self._volumes, _keys_of_volume)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Look after one claim ("namespace/name") or volume ("name")."""
        claim = self._claims.get(key) if "/" in key else None
        if claim is not None and not objects.is_deleting(claim):
            if objects.spec(claim).get("volumeName"):
                await self._grow(claim)
            else:
                await self._provision(claim)
        volume = self._volumes.get(key)
        if volume is not None and is_ours(volume) and is_over(volume):
            return await self._remove(volume)
        return None

    async def _provision(self, claim: Object) -> None:
        found = self._classes.get(volume_binding.class_of(claim))
        if found is None or found.get("provisioner") != volume_binding.LOCAL:
            return
        name = volume_name(claim)
        if self._volumes.get(name) is not None:
            return  # the binder's turn
        chosen = objects.annotations(claim).get(volume_binding.SELECTED_NODE, "")
        node = self._nodes.get(chosen)
        if chosen and (node is None or is_silent(node)):
            await self._ask_for_another_node(claim)
        elif cause := unfit(claim, found):
            self._failed(claim, found, cause)
        elif node is not None:
            try:
                path = await self._make_directory(name, chosen)
                await self._env.client.create(VOLUMES, new_volume(claim, found, node, path))
            except (errors.ApiError, OSError) as err:
                if errors.is_already_exists(err):
                    return
                self._failed(claim, found, str(err))
                raise
            message = f"Successfully provisioned volume {name}"
            self._env.events.event(claim, "Normal", "ProvisioningSucceeded", message)

    def _failed(self, claim: Object, storage_class: Object, cause: str) -> None:
        message = f'failed to provision volume with StorageClass "{objects.name(storage_class)}": {cause}'
        self._env.events.event(claim, "Warning", "ProvisioningFailed", message)

    async def _ask_for_another_node(self, claim: Object) -> None:
        """Have the scheduler choose again: the node is gone, or not heard of, and has no data yet."""
        annotations = {volume_binding.SELECTED_NODE: None}
        body = {"metadata": {"uid": objects.uid(claim), "annotations": annotations}}
        await self._env.client.patch(CLAIMS, objects.name(claim), body, objects.namespace(claim))

    async def _make_directory(self, name: str, node: str) -> str:
        answer = await self._env.client.raw("PUT", _place(name, node))
        return str(orjson.loads(answer)["path"])

    async def _grow(self, claim: Object) -> None:
        """Let a claim have what it asks for: a directory is as large as its disk."""
        volume = self._volumes.get(objects.spec(claim)["volumeName"])
        if volume is None or not is_ours(volume) or not volume_binding.is_bound(claim):
            return
        wanted = objects.spec(claim)["resources"]["requests"]["storage"]
        if quantity.value(objects.spec(volume)["capacity"]["storage"]) < quantity.value(wanted):
            spec = {**objects.spec(volume), "capacity": {"storage": wanted}}
            await self._env.client.update(VOLUMES, {**volume, "spec": spec})
        known = (objects.status(claim).get("capacity") or {}).get("storage")
        if known is not None and quantity.value(known) < quantity.value(wanted):
            status = {**objects.status(claim), "capacity": {"storage": wanted}}
            await self._env.client.update(CLAIMS, {**claim, "status": status}, subresource="status")
            message = "Resize volume succeeded"
            self._env.events.event(claim, "Normal", "VolumeResizeSuccessful", message)

    async def _remove(self, volume: Object) -> float | None:
        name, place = objects.name(volume), objects.annotations(volume).get(NODE, "")
        node = self._nodes.get(place)
        if objects.spec(volume).get("persistentVolumeReclaimPolicy") == "Delete" and node is not None:
            if is_silent(node):
                message = f"node {place} is not heard of"
                self._env.events.event(volume, "Warning", "VolumeFailedDelete", message)
                return LISTEN_S
            try:
                await self._env.client.raw("DELETE", _place(name, place))
            except (errors.ApiError, OSError) as err:
                self._env.events.event(volume, "Warning", "VolumeFailedDelete", str(err))
                raise
        if not objects.is_deleting(volume):
            await self._env.client.delete(VOLUMES, name, uid=objects.uid(volume))
            volume = await self._env.client.get(VOLUMES, name)
        kept = [each for each in objects.finalizers(volume) if each != FINALIZER]
        metadata = {**volume["metadata"], "finalizers": kept}
        await self._env.client.update(VOLUMES, {**volume, "metadata": metadata})
        return None


def volume_name(claim: Object) -> str:
    """Name the volume that is made for a claim."""
    return f"pvc-{objects.uid(claim)}"


def is_ours(volume: Object) -> bool:
    """Tell whether this provisioner made a volume."""
    return objects.annotations(volume).get(volume_binding.PROVISIONED_BY) == volume_binding.LOCAL


def is_silent(node: Object) -> bool:
    """Tell whether a node is not heard of: asking it would hold a worker until the connection times out."""
    return any((each["type"], each["status"]) == ("Ready", "Unknown") for each in objects.conditions(node))


def is_over(volume: Object) -> bool:
    """Tell whether a volume is to go: released, if that is its policy; or deleted, and bound to no claim."""
    finalizers = objects.finalizers(volume)
    if objects.is_deleting(volume):
        return FINALIZER in finalizers and PROTECTION not in finalizers
    is_released = objects.status(volume).get("phase") in ("Released", "Failed")
    return is_released and objects.spec(volume).get("persistentVolumeReclaimPolicy") == "Delete"


def unfit(claim: Object, storage_class: Object) -> str:
    """Say why no volume of this provisioner will do for a claim; "" if one will."""
    spec = objects.spec(claim)
    if storage_class.get("volumeBindingMode") != "WaitForFirstConsumer":
        return "no node was chosen: the class's volumeBindingMode must be WaitForFirstConsumer"
    if not set(spec.get("accessModes") or ()) <= MODES:
        return f"only the access modes {' and '.join(sorted(MODES))} are supported"
    if spec.get("volumeMode") == "Block":
        return "only volumeMode Filesystem is supported"
    if spec.get("selector") is not None:
        return "claim Selector is not supported"
    if spec.get("dataSource") or spec.get("dataSourceRef"):
        return "a dataSource is not supported"
    return ""


def new_volume(claim: Object, storage_class: Object, node: Object, path: str) -> dict[str, Any]:
    """Build the volume for a claim: a directory of a node."""
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": objects.namespace(claim),
        "name": objects.name(claim),
        "uid": objects.uid(claim),
        "resourceVersion": objects.resource_version(claim),
    }
    hostname = objects.labels(node).get(HOSTNAME, objects.name(node))
    expression = {"key": HOSTNAME, "operator": "In", "values": [hostname]}
    options = storage_class.get("mountOptions")
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume_name(claim),
            "annotations": {volume_binding.PROVISIONED_BY: volume_binding.LOCAL, NODE: objects.name(node)},
            "finalizers": [FINALIZER],
        },
        "spec": {
            "capacity": {"storage": objects.spec(claim)["resources"]["requests"]["storage"]},
            "accessModes": list(objects.spec(claim)["accessModes"]),
            "claimRef": reference,
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "storageClassName": objects.name(storage_class),
            "volumeMode": "Filesystem",
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
            **({"mountOptions": options} if options else {}),
        },
    }


def _keys_of_volume(volume: Object) -> Iterable[str]:
    yield objects.name(volume)
    reference = objects.spec(volume).get("claimRef") or {}
    if is_ours(volume) and reference.get("name"):
        yield objects.join_key(reference.get("namespace", ""), reference["name"])


def _place(name: str, node: str) -> str:
    """Give the path by which the API server leads to a volume's directory on a node."""
    return f"/api/v1/nodes/{urllib.parse.quote(node, safe='')}/proxy/volumes/{name}"
