"""Validation of volumes and claims. Pure. Source: pkg/apis/core/validation/validation.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import field, objects, quantity
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, metadata, names

MODES: Final = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES: Final = ("Block", "Filesystem")
RECLAIM: Final = ("Delete", "Recycle", "Retain")
_NOT_SOURCES: Final = frozenset(
    (
        "capacity",
        "accessModes",
        "claimRef",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "mountOptions",
        "volumeMode",
        "nodeAffinity",
        "volumeAttributesClassName",
    )
)


def validate_claim(obj: Object) -> list[FieldError]:
    """Check a PersistentVolumeClaim."""
    return claim_spec(objects.spec(obj), "spec")


def claim_spec(spec: Object, path: str) -> list[FieldError]:
    """Check the spec of a claim, also as a template."""
    modes = spec.get("accessModes") or []
    found = [] if modes else [field.required(f"{path}.accessModes", "at least 1 access mode is required")]
    found += _modes(modes, f"{path}.accessModes")
    found += metadata.label_selector(spec.get("selector"), f"{path}.selector")
    wanted = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    where = f"{path}.resources[storage]"
    if wanted is None:
        found.append(field.required(where))
    elif quantity.parse(wanted) <= quantity.parse("0"):
        found.append(field.invalid(where, wanted, "must be greater than zero"))
    for key in ("storageClassName", "volumeAttributesClassName"):
        if spec.get(key):
            found += (field.invalid(f"{path}.{key}", spec[key], m) for m in names.dns_subdomain(spec[key]))
    if spec.get("volumeMode") not in (None, *VOLUME_MODES):
        found.append(field.not_supported(f"{path}.volumeMode", spec["volumeMode"], VOLUME_MODES))
    return found


def _modes(modes: Any, path: str) -> list[FieldError]:
    found: list[FieldError] = [field.not_supported(path, mode, MODES) for mode in modes if mode not in MODES]
    if "ReadWriteOncePod" in modes and len(set(modes)) > 1:
        found.append(field.forbidden(path, "may not use ReadWriteOncePod with other access modes"))
    return found


def validate_claim_update(new: Object, old: Object) -> list[FieldError]:
    """Check that a claim changed only as it may: bound once, grown when bound."""
    spec, before = dict(objects.spec(new)), dict(objects.spec(old))
    if not before.get("volumeName"):
        before["volumeName"] = spec.get("volumeName")
    if before.get("storageClassName") is None:
        before["storageClassName"] = spec.get("storageClassName")
    is_bound = objects.status(new).get("phase") == "Bound"
    if is_bound:
        before["volumeAttributesClassName"] = spec.get("volumeAttributesClassName")
        for each in (spec, before):
            requests = dict((each.get("resources") or {}).get("requests") or {})
            requests.pop("storage", None)
            each["resources"] = {**(each.get("resources") or {}), "requests": requests}
    found: list[FieldError] = []
    if _present(spec) != _present(before):
        detail = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName "
            "for bound claims"
        )
        found.append(field.forbidden("spec", detail))
    size, was = _size(new), _size(old)
    if size < was and size <= quantity.parse((objects.status(old).get("capacity") or {}).get("storage", "0")):
        detail = "field can not be less than status.capacity"
        found.append(field.forbidden("spec.resources.requests.storage", detail))
    return found


def _present(spec: Object) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if value is not None}


def _size(obj: Object) -> quantity.Quantity:
    requests = (objects.spec(obj).get("resources") or {}).get("requests") or {}
    return quantity.parse(requests.get("storage", "0"))


def validate_volume(obj: Object) -> list[FieldError]:
    """Check a PersistentVolume."""
    spec = objects.spec(obj)
    modes = spec.get("accessModes") or []
    found = [] if modes else [field.required("spec.accessModes")]
    found += _modes(modes, "spec.accessModes")
    capacity = spec.get("capacity") or {}
    if not capacity:
        found.append(field.required("spec.capacity"))
    elif set(capacity) != {"storage"}:
        found.append(field.not_supported("spec.capacity", dict(capacity), ("storage",)))
    for key, amount in capacity.items():
        if quantity.parse(amount) <= quantity.parse("0"):
            found.append(field.invalid(f"spec.capacity[{key}]", amount, "must be greater than zero"))
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy and policy not in RECLAIM:
        found.append(field.not_supported("spec.persistentVolumeReclaimPolicy", policy, RECLAIM))
    sources = [key for key in spec if key not in _NOT_SOURCES and spec[key] is not None]
    if not sources:
        found.append(field.required("spec", "must specify a volume type"))
    for extra in sources[1:]:
        found.append(field.forbidden(f"spec.{extra}", "may not specify more than 1 volume type"))
    if spec.get("csi") is not None:
        found += _csi(spec["csi"], "spec.csi")
    if spec.get("local") is not None and spec.get("nodeAffinity") is None:
        found.append(field.required("spec.nodeAffinity", "Local volume requires node affinity"))
    if spec.get("hostPath") is not None and not spec["hostPath"].get("path"):
        found.append(field.required("spec.hostPath.path"))
    if (spec.get("hostPath") or {}).get("path") == "/" and policy == "Recycle":
        detail = "may not be 'recycle' for a hostPath mount of '/'"
        found.append(field.forbidden("spec.persistentVolumeReclaimPolicy", detail))
    if spec.get("volumeMode") not in (None, *VOLUME_MODES):
        found.append(field.not_supported("spec.volumeMode", spec["volumeMode"], VOLUME_MODES))
    return found


def inline_volume_spec(spec: Object, path: str) -> list[FieldError]:
    """Check the volume that a VolumeAttachment describes in place of a PersistentVolume."""
    context, found = "in the context of inline volumes", list[FieldError]()
    for key in ("claimRef", "capacity"):
        if spec.get(key):
            found.append(field.forbidden(f"{path}.{key}", f"may not be specified {context}"))
    csi, modes = spec.get("csi"), spec.get("accessModes") or []
    if csi is None:
        found.append(field.required(f"{path}.csi", f"has to be specified {context}"))
    if not any(spec[key] is not None for key in spec if key not in _NOT_SOURCES):
        found.append(field.required(path, "must specify a volume type"))
    if not modes:
        found.append(field.required(f"{path}.accessModes"))
    found += _modes(modes, f"{path}.accessModes")
    if spec.get("persistentVolumeReclaimPolicy", "Retain") != "Retain":
        where = f"{path}.persistentVolumeReclaimPolicy"
        found.append(field.forbidden(where, f"may only be Retain {context}"))
    if spec.get("storageClassName"):
        found.append(field.forbidden(f"{path}.storageClassName", f"may not be specified {context}"))
    return found if csi is None else found + _csi(csi, f"{path}.csi")


def _csi(source: Object, path: str) -> list[FieldError]:
    found = formats.csi_driver(source.get("driver") or "", f"{path}.driver")
    return found if source.get("volumeHandle") else [*found, field.required(f"{path}.volumeHandle")]


def validate_volume_update(new: Object, old: Object) -> list[FieldError]:
    """Check that the source and the mode of a volume stayed."""

    def source(obj: Object) -> dict[str, Any]:
        return {k: v for k, v in objects.spec(obj).items() if k not in _NOT_SOURCES and v is not None}

    found: list[FieldError] = []
    if source(new) != source(old):
        found.append(
            field.forbidden(
                "spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation"
            )
        )
    before = objects.spec(old).get("volumeMode")
    return found + metadata.immutable(objects.spec(new).get("volumeMode"), before, "volumeMode")
