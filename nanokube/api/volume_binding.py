"""Which volume a claim gets, what both then say, and which claims a Pod has. Pure.

Source: pkg/controller/volume/persistentvolume/{pv_controller,index}.go, component-helpers storage/volume.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nanokube.api import objects, placement, quantity, selectors
from nanokube.api.objects import Object

BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
COMPLETED = "pv.kubernetes.io/bind-completed"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
OLD_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
OLD_CLASS = "volume.beta.kubernetes.io/storage-class"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
LOCAL = "nanokube.io/local"  # the built-in class's: controllers/local_volumes.py


def claim_name(pod: Object, volume: Object) -> str:
    """Name the claim behind one of a Pod's volumes, a generic ephemeral one included; "" if there is none."""
    if volume.get("persistentVolumeClaim") is not None:
        return str(volume["persistentVolumeClaim"].get("claimName") or "")
    # Source: component-helpers storage/ephemeral
    return f"{objects.name(pod)}-{volume['name']}" if volume.get("ephemeral") is not None else ""


def claims_of(pod: Object) -> Iterator[tuple[str, bool]]:
    """Name the claims that a Pod uses, and tell of each whether it is to be made for an ephemeral volume."""
    for volume in objects.spec(pod).get("volumes") or ():
        if name := claim_name(pod, volume):
            yield name, volume.get("persistentVolumeClaim") is None


def is_reachable(volume: Object, labels: Mapping[str, str]) -> bool:
    """Tell whether a volume's node affinity admits a node with these labels."""
    required = (objects.spec(volume).get("nodeAffinity") or {}).get("required")
    return required is None or any(
        placement.term_matches(term, "", labels) for term in required.get("nodeSelectorTerms") or ()
    )


def class_of(obj: Object) -> str:
    """Name the storage class of a volume or claim; "" for none."""
    old = objects.annotations(obj).get(OLD_CLASS)
    return old if old is not None else objects.spec(obj).get("storageClassName") or ""


def is_for(volume: Object, claim: Object) -> bool:
    """Tell whether a volume is reserved for, or bound to, a claim."""
    reference = objects.spec(volume).get("claimRef")
    if reference is None or (reference.get("namespace"), reference.get("name")) != (
        objects.namespace(claim),
        objects.name(claim),
    ):
        return False
    return reference.get("uid") in (None, "", objects.uid(claim))


def is_bound(claim: Object) -> bool:
    """Tell whether a claim has its volume for good."""
    return bool(objects.spec(claim).get("volumeName")) and COMPLETED in objects.annotations(claim)


def requested(claim: Object) -> int:
    """Give the bytes that a claim asks for."""
    return quantity.value(
        ((objects.spec(claim).get("resources") or {}).get("requests") or {}).get("storage", "0")
    )


def best(claim: Object, volumes: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """Choose the volume reserved for a claim, else the smallest that fits with the fewest access modes."""
    return next(iter(candidates(claim, volumes)), None)


def candidates(claim: Object, volumes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the volumes reserved for a claim; if there are none, those that it may take, the best first."""
    known = list(volumes)
    reserved = [each for each in known if is_for(each, claim) and not mismatch(claim, each, is_reserved=True)]
    free = [each for each in known if is_free(each) and _is_selected(claim, each)]
    return sorted(reserved or (each for each in free if not mismatch(claim, each)), key=_size_rank)


def is_free(volume: Object) -> bool:
    """Tell whether a volume is nobody's yet."""
    return objects.spec(volume).get("claimRef") is None and objects.status(volume).get("phase") == "Available"


def mismatch(claim: Object, volume: Object, *, is_reserved: bool = False) -> str:
    """Say why a volume is not what a claim asks for; "" if it is.

    is_reserved: somebody reserved it for this claim, so that its class does not count.
    """
    wanted, offered = objects.spec(claim), objects.spec(volume)
    if objects.is_deleting(volume):
        return f'the volume is marked for deletion "{objects.name(volume)}"'
    if _capacity(volume) < requested(claim):
        return "requested PV is too small"
    if not is_reserved and class_of(claim) != class_of(volume):
        return "storageClassName does not match"
    if (wanted.get("volumeAttributesClassName") or "") != (offered.get("volumeAttributesClassName") or ""):
        return "volumeAttributesClassName does not match"
    if (wanted.get("volumeMode") or "Filesystem") != (offered.get("volumeMode") or "Filesystem"):
        return "incompatible volumeMode"
    if not set(wanted.get("accessModes") or ()) <= set(offered.get("accessModes") or ()):
        return "incompatible accessMode"
    return ""


def _is_selected(claim: Object, volume: Object) -> bool:
    selector = objects.spec(claim).get("selector")
    return selector is None or selectors.from_object(selector).matches(objects.labels(volume))


def reserved(volume: Object, claim: Object) -> dict[str, Any]:
    """Give the volume as bound to the claim."""
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "name": objects.name(claim),
        "namespace": objects.namespace(claim),
        "uid": objects.uid(claim),
        "resourceVersion": objects.resource_version(claim),
    }
    present = objects.spec(volume).get("claimRef") or {}
    if present.get("uid") == objects.uid(claim):
        return dict(volume)
    changed = {**volume, "spec": {**objects.spec(volume), "claimRef": {**present, **reference}}}
    return changed if present else _annotated(changed, BY_CONTROLLER)


def bound(claim: Object, volume: Object) -> dict[str, Any]:
    """Give the claim as bound to the volume."""
    changed: dict[str, Any] = dict(claim)
    if objects.spec(claim).get("volumeName") != objects.name(volume):
        changed["spec"] = {**objects.spec(claim), "volumeName": objects.name(volume)}
        changed = _annotated(changed, BY_CONTROLLER)
    return _annotated(changed, COMPLETED)


def claim_status(claim: Object, volume: Object) -> dict[str, Any]:
    """Give the status of a bound claim."""
    offered = objects.spec(volume)
    capacity = {"storage": (offered.get("capacity") or {}).get("storage", "0")}
    status: dict[str, Any] = {**objects.status(claim), "phase": "Bound"}
    status["accessModes"] = list(offered.get("accessModes") or ())
    if objects.status(claim).get("phase") != "Bound" or not status.get("capacity"):
        status["capacity"] = capacity
    if objects.status(claim).get("phase") == "Pending":  # later it is the driver's to say
        status.pop("currentVolumeAttributesClassName", None)
        if offered.get("volumeAttributesClassName"):
            status["currentVolumeAttributesClassName"] = offered["volumeAttributesClassName"]
    return status


def volume_phase(volume: Object, claim: Object | None) -> str:
    """Give the phase of a volume. claim: the one its claimRef names, if it exists."""
    reference = objects.spec(volume).get("claimRef")
    if reference is None or not reference.get("uid"):
        return "Available"
    if claim is None or objects.uid(claim) != reference["uid"]:
        return "Failed" if objects.status(volume).get("phase") == "Failed" else "Released"
    is_mutual = objects.spec(claim).get("volumeName") == objects.name(volume)
    return "Bound" if is_mutual else "Available"


def not_reclaimed(volume: Object) -> tuple[str, str] | None:
    """Say (reason, message) why nobody does with a released volume what its policy asks; None if one does."""
    name, spec = objects.name(volume), objects.spec(volume)
    match spec.get("persistentVolumeReclaimPolicy"):
        case "Delete" if not objects.annotations(volume).get(PROVISIONED_BY) and "csi" not in spec:
            cause = "no deletable volume plugin matched"
            return "VolumeFailedDelete", f'error getting deleter volume plugin for volume "{name}": {cause}'
        case "Recycle":
            return "VolumeFailedRecycle", "No recycler plugin found for the volume!"
    return None


def _annotated(obj: Object, annotation: str) -> dict[str, Any]:
    annotations = {**objects.annotations(obj), annotation: "yes"}
    return {**obj, "metadata": {**objects.metadata(obj), "annotations": annotations}}


def _capacity(volume: Object) -> int:
    return quantity.value((objects.spec(volume).get("capacity") or {}).get("storage", "0"))


def _size_rank(volume: Object) -> tuple[int, int, str]:
    return len(objects.spec(volume).get("accessModes") or ()), _capacity(volume), objects.name(volume)
