"""Validation of volumes and claims. Pure. Source: pkg/apis/core/validation/validation.go."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, Final

from nanokube.api import field, objects, quantity
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import differences, formats, metadata, names, scheduling, volume_sources

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


_SOURCES: Final = volume_sources.ordered(
    {
        **volume_sources.both_kinds(is_persistent=True),
        "local": volume_sources.local,
        "csi": volume_sources.csi_persistent,
    },
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
)

# labels of nodes that became stable, by their former names
_STABLE: Final[Mapping[str, str]] = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}


def validate_claim(obj: Object) -> list[FieldError]:
    """Check a PersistentVolumeClaim."""
    return claim_spec(objects.spec(obj), "spec")


def claim_spec(spec: Object, path: str) -> list[FieldError]:
    """Check the spec of a claim, also as a template."""
    modes = spec.get("accessModes") or []
    found = [] if modes else [field.required(f"{path}.accessModes", "at least 1 access mode is required")]
    found += metadata.label_selector(spec.get("selector"), f"{path}.selector")
    found += _modes(modes, f"{path}.accessModes")
    wanted = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    where = f"{path}.resources[storage]"
    if wanted is None:
        found.append(field.required(where))
    elif quantity.parse(wanted) <= quantity.parse("0"):
        found.append(field.invalid(where, str(wanted), "must be greater than zero"))
    if spec.get("storageClassName"):
        found += formats.each(names.dns_subdomain, spec["storageClassName"], f"{path}.storageClassName")
    found += formats.optional_choice(spec.get("volumeMode"), VOLUME_MODES, f"{path}.volumeMode")
    found += _data_sources(spec, path)
    if spec.get("volumeAttributesClassName"):
        where = f"{path}.volumeAttributesClassName"
        found += formats.each(names.dns_subdomain, spec["volumeAttributesClassName"], where)
    return found


def _data_sources(spec: Object, path: str) -> list[FieldError]:
    """Check where a claim's data comes from; references into other namespaces are behind a gate."""
    found: list[FieldError] = []
    for key in ("dataSource", "dataSourceRef"):
        source, where = spec.get(key), f"{path}.{key}"
        if source is None:
            continue
        found += [field.required(f"{where}.{part}") for part in ("name", "kind") if not source.get(part)]
        if not source.get("apiGroup") and source.get("kind") != "PersistentVolumeClaim":
            detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
            found.append(field.invalid(where, source.get("kind") or "", detail))
        elif source.get("apiGroup"):
            found += formats.each(names.dns_subdomain, source["apiGroup"], f"{where}.apiGroup")
    both = [spec.get("dataSource"), spec.get("dataSourceRef")]
    if None not in both:
        one, other = ({k: v for k, v in (s or {}).items() if v and k != "namespace"} for s in both)
        if one != other:
            found.append(field.invalid(path, {}, "must match dataSourceRef"))
    return found


def _modes(modes: Any, path: str) -> list[FieldError]:
    found: list[FieldError] = [field.not_supported(path, mode, MODES) for mode in modes if mode not in MODES]
    if "ReadWriteOncePod" in modes and any(m != "ReadWriteOncePod" and m in MODES for m in modes):
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
        resources, had = spec.get("resources") or {}, before.get("resources") or {}
        if resources.get("requests"):
            amount = {"storage": (had.get("requests") or {}).get("storage", "0")}
            spec["resources"] = {**resources, "requests": {**resources["requests"], **amount}}
    found: list[FieldError] = []
    if _present(spec) != _present(before):
        detail = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName "
            f"for bound claims\n{differences.show(differences.claim(before), differences.claim(spec))}"
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
    found += _modes(modes, "spec.accessModes") + _capacity(spec)
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy:
        found += formats.choice(policy, RECLAIM, "spec.persistentVolumeReclaimPolicy")
    affinity, where = spec.get("nodeAffinity"), "spec.nodeAffinity.required"
    required = None if affinity is None else affinity.get("required")
    if affinity is not None and required is None:
        found.append(field.required(where, "must specify required node constraints"))
    elif required is not None:
        found += scheduling.node_selector(required, where)
    found += volume_sources.one(spec, _SOURCES, "spec", {"cephfs": "cephFS"}, always="flexVolume")
    found += _iscsi_name(obj, spec)
    chosen = next((kind for kind in _SOURCES if spec.get(kind) is not None), "")
    if chosen == "local" and affinity is None:
        found.append(field.required("spec.nodeAffinity", "Local volume requires node affinity"))
    target = (spec.get("hostPath") or {}).get("path")
    if target and posixpath.normpath(target) in ("/", "//") and policy == "Recycle":
        detail = "may not be 'recycle' for a hostPath mount of '/'"
        found.append(field.forbidden("spec.persistentVolumeReclaimPolicy", detail))
    if spec.get("storageClassName"):
        found += formats.each(names.dns_subdomain, spec["storageClassName"], "spec.storageClassName")
    found += formats.optional_choice(spec.get("volumeMode"), VOLUME_MODES, "spec.volumeMode")
    return found + _attributes(spec)


def _capacity(spec: Object) -> list[FieldError]:
    capacity, found, where = spec.get("capacity"), list[FieldError](), "spec.capacity"
    if not capacity:
        found.append(field.required(where))
    if set(capacity or ()) != {"storage"}:
        found.append(field.not_supported(where, capacity, ("storage",)))
    for key, amount in (capacity or {}).items():
        value = quantity.parse(amount)
        if value.value < 0:
            detail = "must be a valid resource quantity"
            found.append(field.invalid(f"{where}[{key}]", value.value, detail))
        if value <= quantity.parse("0"):
            found.append(field.invalid(f"{where}[{key}]", str(amount), "must be greater than zero"))
    return found


def _iscsi_name(obj: Object, spec: Object) -> list[FieldError]:
    body = spec.get("iscsi")
    if body is None or not volume_sources.iscsi_is_too_long(objects.name(obj), body):
        return []
    target = body.get("targetPortal") or ""
    return [field.invalid("spec.iscsi.targetportal", target, volume_sources.ISCSI_TOO_LONG)]


def _attributes(spec: Object) -> list[FieldError]:
    name, where = spec.get("volumeAttributesClassName"), "spec.volumeAttributesClassName"
    if name is None:
        return []
    found = formats.each(names.dns_subdomain, name, where) if name else []
    if not name:
        found.append(field.required(where, "an empty string is disallowed"))
    if spec.get("csi") is None:
        detail = "has to be specified when using volumeAttributesClassName"
        found.append(field.required("spec.csi", detail))
    return found


def inline_volume_spec(spec: Object, path: str) -> list[FieldError]:
    """Check the volume that a VolumeAttachment describes in place of a PersistentVolume."""
    context, found = "in the context of inline volumes", list[FieldError]()
    modes, policy = spec.get("accessModes") or [], spec.get("persistentVolumeReclaimPolicy")
    for key in ("claimRef", "capacity"):
        if spec.get(key):
            found.append(field.forbidden(f"{path}.{key}", f"may not be specified {context}"))
    if spec.get("csi") is None:
        found.append(field.required(f"{path}.csi", f"has to be specified {context}"))
    if not modes:
        found.append(field.required(f"{path}.accessModes"))
    found += _modes(modes, f"{path}.accessModes")
    if policy and policy != "Retain":
        where = f"{path}.persistentVolumeReclaimPolicy"
        found.append(field.forbidden(where, f"may only be Retain {context}"))
    if spec.get("nodeAffinity") is not None:
        found.append(field.forbidden(f"{path}.nodeAffinity", f"may not be specified {context}"))
    found += volume_sources.one(spec, _SOURCES, path, {"cephfs": "cephFS"}, always="flexVolume")
    if spec.get("storageClassName"):
        found.append(field.forbidden(f"{path}.storageClassName", f"may not be specified {context}"))
    if spec.get("volumeMode") not in (None, "Filesystem"):
        detail = f"may not specify volumeMode other than Filesystem {context}"
        found.append(field.forbidden(f"{path}.volumeMode", detail))
    return found


def validate_volume_update(new: Object, old: Object) -> list[FieldError]:
    """Check that the source, the mode and the place of a volume stayed."""

    def source(obj: Object) -> dict[str, Any]:
        return {k: v for k, v in objects.spec(obj).items() if k not in _NOT_SOURCES and v is not None}

    found: list[FieldError] = []
    wanted, had = source(new), source(old)
    if had.get("csi") and had["csi"].get("controllerExpandSecretRef") is None and wanted.get("csi"):
        wanted["csi"] = {k: v for k, v in wanted["csi"].items() if k != "controllerExpandSecretRef"}
    if wanted != had:
        found.append(
            field.forbidden(
                "spec.persistentvolumesource",
                "spec.persistentvolumesource is immutable after creation\n"
                + differences.show(had, {key: wanted[key] for key in {**had, **wanted} if key in wanted}),
            )
        )
    before, after = objects.spec(old), objects.spec(new)
    found += metadata.immutable(after.get("volumeMode"), before.get("volumeMode"), "volumeMode")
    was, place = before.get("nodeAffinity"), after.get("nodeAffinity")
    if was is not None and not _is_same_place(place, was):
        detail = f"{metadata.IMMUTABLE}, except for updating from beta label to GA"
        found.append(field.invalid("nodeAffinity", place, detail))
    if before.get("volumeAttributesClassName") is not None and after.get("volumeAttributesClassName") is None:
        detail = "update from non-nil value to nil is forbidden"
        found.append(field.forbidden("spec.volumeAttributesClassName", detail))
    return found


def _is_same_place(new: Any, old: Any) -> bool:
    """Compare node affinities; keys of labels may have become stable ones."""
    if type(new) is not type(old):
        return not new and not old
    if type(old) is list:
        return len(new) == len(old) and all(map(_is_same_place, new, old))
    if type(old) is not dict:
        return bool(new == old)
    if old.get("key") in _STABLE and _STABLE[old["key"]] == new.get("key"):
        old = {**old, "key": new["key"]}
    return all(_is_same_place(new.get(key), old.get(key)) for key in {*new, *old})
