"""Validation of Pods' volumes. Pure. Source: pkg/apis/core/validation/validation.go, ValidateVolumes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from nanokube.api import field, quantity
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, metadata, names, projections, storage
from nanokube.api.validation import volume_sources as sources

_PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_ORDER: Final = (
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
)
# as upstream spells them where they are too many
_SHOWN: Final = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}


def validate(
    volumes: Iterable[Object], path: str, *, is_pod: bool
) -> tuple[list[FieldError], dict[str, Object]]:
    """Check the volumes of a pod spec; return what is wrong, and the good ones by name.

    is_pod: of a Pod, not of a template, which may leave the reference of an image empty.
    """
    found, good, checks = list[FieldError](), dict[str, Object](), _POD if is_pod else _TEMPLATE
    for index, volume in enumerate(volumes):
        where, name = f"{path}[{index}]", volume.get("name") or ""
        own = sources.one(volume, checks, where, _SHOWN)
        if volume.get("iscsi") is not None and sources.iscsi_is_too_long(name, volume["iscsi"]):
            own.append(field.invalid(f"{where}.name", name, sources.ISCSI_TOO_LONG))
        own += formats.required_name(name, names.dns_label, f"{where}.name")
        if name in good:
            own.append(field.duplicate(f"{where}.name", name))
        if not own:
            good[name] = volume
        found += own
    return found, good


def validate_claims(volumes: Iterable[Object], path: str, pod_name: str) -> list[FieldError]:
    """Check the names of the claims that a Pod's ephemeral volumes become."""
    found, volumes = list[FieldError](), list(volumes)
    made = {f"{pod_name}-{v.get('name') or ''}" for v in volumes if v.get("ephemeral") is not None}
    if not made:
        return []
    for index, volume in enumerate(volumes):
        where, name = f"{path}[{index}]", volume.get("name") or ""
        if volume.get("ephemeral") is not None and name:
            claim = f"{pod_name}-{name}"
            found += [
                field.invalid(f"{where}.name", name, f"PVC name {field.quote(claim)}: {message}")
                for message in names.dns_subdomain(claim)
            ]
        wanted = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if wanted in made:
            detail = "must not reference a PVC that gets created for an ephemeral volume"
            found.append(field.invalid(f"{where}.persistentVolumeClaim.claimName", wanted, detail))
    return found


def _empty_dir(body: Object, path: str) -> list[FieldError]:
    limit = body.get("sizeLimit")
    if limit is None or quantity.parse(limit).amount >= 0:
        return []
    return [field.forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")]


def _files(name: str) -> sources.Check:
    def check(body: Object, path: str) -> list[FieldError]:
        found = sources.needs(name)(body, path) + sources.mode(body, path)
        return found + projections.items(body, path)

    return check


def _ephemeral(body: Object, path: str) -> list[FieldError]:
    template, path = body.get("volumeClaimTemplate"), f"{path}.volumeClaimTemplate"
    if template is None:
        return [field.required(path)]
    found = metadata.template_only(template.get("metadata") or {}, f"{path}.metadata")
    return found + storage.claim_spec(template.get("spec") or {}, f"{path}.spec")


def _image(body: Object, path: str) -> list[FieldError]:
    policy = body.get("pullPolicy")
    if not policy:
        return [field.required(f"{path}.pullPolicy")]
    return formats.choice(policy, _PULL_POLICIES, f"{path}.pullPolicy")


def _pod_image(body: Object, path: str) -> list[FieldError]:
    return sources.needs("reference")(body, path) + _image(body, path)


_TEMPLATE: Final[Mapping[str, sources.Check]] = sources.ordered(
    {
        **sources.both_kinds(is_persistent=False),
        "emptyDir": _empty_dir,
        "gitRepo": sources.git_repo,
        "secret": _files("secretName"),
        "configMap": _files("name"),
        "persistentVolumeClaim": sources.needs("claimName"),
        "downwardAPI": projections.downward,
        "projected": projections.projected,
        "csi": sources.csi_inline,
        "ephemeral": _ephemeral,
        "image": _image,
    },
    *_ORDER,
)
_POD: Final[Mapping[str, sources.Check]] = {**_TEMPLATE, "image": _pod_image}
