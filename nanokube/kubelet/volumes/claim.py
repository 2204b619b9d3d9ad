"""The PersistentVolume behind a Pod's claim, checked to be the Pod's to use. Pure, but for reading both.

Source: pkg/kubelet/volumemanager/populator/desired_state_of_world_populator.go (texts, too).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from nanokube.api import errors, objects, volume_binding
from nanokube.kubelet.references import References
from nanokube.kubelet.volumes.errors import VolumeFault, WholeFault

Object = Mapping[str, Any]
PROTECTION = "kubernetes.io/pvc-protection"


def names_claim(volume: Object) -> bool:
    """Tell whether a volume of a Pod is a claim, or an ephemeral one that has a claim made for it."""
    return volume.get("persistentVolumeClaim") is not None or volume.get("ephemeral") is not None


def is_read_only(volume: Object) -> bool:
    """Tell whether a volume of a Pod is to be read alone."""
    return bool((volume.get("persistentVolumeClaim") or {}).get("readOnly"))


def is_written(pod: Object, volume: Object) -> bool:
    """Tell whether a Pod may write to a volume's claim, by this volume or another: they share a mount."""
    name = volume_binding.claim_name(pod, volume)
    return any(
        volume_binding.claim_name(pod, each) == name and not is_read_only(each)
        for each in objects.spec(pod).get("volumes") or ()
    )


async def resolve(pod: Object, volume: Object, references: References) -> Object:
    """Find the PersistentVolume of a Pod's volume. Raises VolumeFault, OSError."""
    try:
        found = await _persistent_volume(pod, volume, references)
        _check_mode(pod, volume["name"], found)
    except VolumeFault as fault:
        name = volume["name"]
        raise WholeFault(
            f"Unable to attach or mount volumes: unmounted volumes=[{name}], unattached volumes=[], "
            f"failed to process volumes=[{name}]: {fault}"
        ) from fault
    return found


async def _persistent_volume(pod: Object, volume: Object, references: References) -> Object:
    namespace, name = objects.namespace(pod), volume_binding.claim_name(pod, volume)
    try:
        try:
            claim = await references.claim(namespace, name)
        except errors.ApiError as err:
            raise VolumeFault(f"failed to fetch PVC from API server: {err}") from err
        check_claim(claim)
        volume_name = objects.spec(claim)["volumeName"]
        try:
            found = await references.persistent_volume(volume_name)
        except errors.ApiError as err:
            raise VolumeFault(f"failed to fetch PV {volume_name} from API server: {err}") from err
        check_volume(found, claim)
    except VolumeFault as fault:
        raise VolumeFault(f"error processing PVC {namespace}/{name}: {fault}") from fault
    if volume.get("ephemeral") is not None and not objects.is_controlled_by(claim, pod):
        whose = f"{namespace}/{objects.name(pod)}"
        raise VolumeFault(f"PVC {namespace}/{name} was not created for pod {whose} (pod is not owner)")
    return found


def check_claim(claim: Object) -> None:
    """Refuse a claim that is not bound, or goes. Raises VolumeFault."""
    if objects.is_deleting(claim) and PROTECTION not in objects.finalizers(claim):
        raise VolumeFault("PVC is being deleted")
    if objects.status(claim).get("phase") != "Bound":
        raise VolumeFault("PVC is not bound")
    if not objects.spec(claim).get("volumeName"):
        raise VolumeFault("PVC has empty pvc.Spec.VolumeName")


def check_volume(volume: Object, claim: Object) -> None:
    """Refuse a volume that is not bound to the claim. Raises VolumeFault."""
    reference, name = objects.spec(volume).get("claimRef"), objects.name(volume)
    if reference is None:
        raise VolumeFault(
            f"found PV object {name} but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the "
            "claim"
        )
    if reference.get("uid") != objects.uid(claim):
        raise VolumeFault(
            f"found PV object {name} but its pv.Spec.ClaimRef.UID {reference.get('uid', '')} does not point "
            f"to claim.UID {objects.uid(claim)}"
        )


def _check_mode(pod: Object, name: str, volume: Object) -> None:
    mode = objects.spec(volume).get("volumeMode") or "Filesystem"
    for field, wanted in (("volumeMounts", "Filesystem"), ("volumeDevices", "Block")):
        if mode != wanted and any(name == use["name"] for use in _uses(pod, field)):
            raise VolumeFault(f"volume {name} has volumeMode {mode}, but is specified in {field}")


def _uses(pod: Object, field: str) -> Iterator[Object]:
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for container in objects.spec(pod).get(kind) or ():
            yield from container.get(field) or ()
