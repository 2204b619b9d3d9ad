"""Validation of what a volume is made of, in Pods and in PersistentVolumes. Pure.

Source: pkg/apis/core/validation/validation.go, from validateHostPathVolumeSource on. Names that differ from
the field (`persistentDisk`, `initiatorname`) are as upstream reports them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, names

Check = Callable[[Object, str], list[FieldError]]

ONE_TYPE: Final = "may not specify more than 1 volume type"
MAX_MODE: Final = 0o777
MODE: Final = "must be a number between 0 and 0777 (octal), both inclusive"
ISCSI_TOTAL: Final = 64
ISCSI_TOO_LONG: Final = (
    "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
    "iscsi.initiatorName is specified."
)
_HOST_PATH_TYPES: Final = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_MAX_BYTE: Final = 255
_PARTITION: Final = names.between(1, _MAX_BYTE)
_MAX_TENANT: Final = 64
_REGISTRY: Final = "must be a host:port pair or multiple pairs separated by commas"
_CACHING: Final = ("None", "ReadOnly", "ReadWrite")
_DISKS: Final = ("Dedicated", "Managed", "Shared")
_MANAGED: Final = (
    "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
)
_BLOB: Final = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
_INITIATORS: Final = {
    "iqn": re.compile(r"iqn\.[0-9]{4}-[0-9]{2}\.([A-Za-z0-9.-]+)(:[^,;*&$|\s]+)$"),
    "eui": re.compile(r"^eui.[A-Za-z0-9]{16}$"),
    "naa": re.compile(r"^naa.[A-Za-z0-9]{32}$"),
}
_SECRET_REFS: Final = (
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeExpandSecretRef",
)


def one(
    volume: Object, checks: Mapping[str, Check], path: str, shown: Mapping[str, str], always: str = ""
) -> list[FieldError]:
    """Check that a volume is of one type, and that one; in upstream's order, which is that of the checks.

    shown: types that have another name where they are too many. always: a type that may come on top.
    """
    found, is_settled = list[FieldError](), False
    for kind, check in checks.items():
        body = volume.get(kind)
        if body is None:
            continue
        if is_settled and kind != always:
            found.append(field.forbidden(f"{path}.{shown.get(kind, kind)}", ONE_TYPE))
            continue
        is_settled = True
        found += check(body, f"{path}.{kind}")
    return found if is_settled else [field.required(path, "must specify a volume type")]


def needs(*keys: str) -> Check:
    """Return a check that fields are there and not empty."""
    return lambda body, path: [field.required(f"{path}.{key}") for key in keys if not body.get(key)]


def no_back_steps(text: str, path: str) -> list[FieldError]:
    """Check that a path does not lead upwards."""
    return [field.invalid(path, text, "must not contain '..'")] if ".." in text.split("/") else []


def descending(text: str, path: str) -> list[FieldError]:
    """Check a path that must stay below where it starts."""
    found = [field.invalid(path, text, "must be a relative path")] if text.startswith("/") else []
    return found + no_back_steps(text, path)


def relative_path(text: str, path: str) -> list[FieldError]:
    """Check a path of a file inside a volume."""
    found = descending(text, path)
    if text.startswith("..") and not text.startswith("../"):
        found.append(field.invalid(path, text, "must not start with '..'"))
    return found


def mode(body: Object, path: str, key: str = "defaultMode") -> list[FieldError]:
    """Check the permissions of files."""
    bits = body.get(key)
    return [] if bits is None or 0 <= bits <= MAX_MODE else [field.invalid(f"{path}.{key}", bits, MODE)]


def host_path(body: Object, path: str) -> list[FieldError]:
    """Check a path of the node."""
    target = body.get("path") or ""
    found = [] if target else [field.required(f"{path}.path")]
    found += no_back_steps(target, f"{path}.path")
    return found + formats.optional_choice(body.get("type"), _HOST_PATH_TYPES, f"{path}.type")


def git_repo(body: Object, path: str) -> list[FieldError]:
    """Check a repository."""
    return needs("repository")(body, path) + descending(body.get("directory") or "", f"{path}.directory")


def disk(key: str, shown: str = "") -> Check:
    """Return a check of a cloud's disk, which `key` names."""

    def check(body: Object, path: str) -> list[FieldError]:
        where = f"{path.rpartition('.')[0]}.{shown}" if shown else path
        partition = body.get("partition") or 0
        found = needs(key)(body, where)
        if not 0 <= partition <= _MAX_BYTE:
            found.append(field.invalid(f"{where}.partition", partition, _PARTITION))
        return found

    return check


def nfs(body: Object, path: str) -> list[FieldError]:
    """Check an export of a server."""
    found, target = needs("server", "path")(body, path), body.get("path") or ""
    if not target.startswith("/"):
        found.append(field.invalid(f"{path}.path", target, "must be an absolute path"))
    return found


def iscsi(*, is_persistent: bool) -> Check:
    """Return the check of an iSCSI disk; a Pod's says more of a bad name."""

    def check(body: Object, path: str) -> list[FieldError]:
        found, iqn = needs("targetPortal", "iqn")(body, path), body.get("iqn") or ""
        said = "must be valid format" + ("" if is_persistent else " starting with iqn, eui, or naa")
        if iqn:
            found += _initiator(iqn, f"{path}.iqn", said)
        lun = body.get("lun") or 0
        if not 0 <= lun <= _MAX_BYTE:
            found.append(field.invalid(f"{path}.lun", lun, names.between(0, _MAX_BYTE)))
        secret = body.get("secretRef")
        if (body.get("chapAuthDiscovery") or body.get("chapAuthSession")) and secret is None:
            found.append(field.required(f"{path}.secretRef"))
        if is_persistent and secret is not None:
            found += needs("name")(secret, f"{path}.secretRef")
        if body.get("initiatorName") is not None:
            found += _initiator(body["initiatorName"], f"{path}.initiatorname", said)
        return found

    return check


def _initiator(text: str, path: str, said: str) -> list[FieldError]:
    pattern = _INITIATORS.get(text[:3])
    if pattern is None:
        return [field.invalid(path, text, said)]
    return [] if pattern.search(text) else [field.invalid(path, text, "must be valid format")]


def fibre_channel(body: Object, path: str) -> list[FieldError]:
    """Check a Fibre Channel disk."""
    targets, ids, lun = body.get("targetWWNs") or [], body.get("wwids") or [], body.get("lun")
    found, where = list[FieldError](), f"{path}.targetWWNs"
    if not targets and not ids:
        found.append(field.required(where, "must specify either targetWWNs or wwids, but not both"))
    if targets and ids:
        detail = "targetWWNs and wwids can not be specified simultaneously"
        found.append(field.invalid(where, targets, detail))
    if targets and lun is None:
        found.append(field.required(f"{path}.lun", "lun is required if targetWWNs is specified"))
    elif targets and lun is not None and not 0 <= lun <= _MAX_BYTE:
        found.append(field.invalid(f"{path}.lun", lun, names.between(0, _MAX_BYTE)))
    return found


def quobyte(body: Object, path: str) -> list[FieldError]:
    """Check a Quobyte volume."""
    registry, found = body.get("registry") or "", list[FieldError]()
    if not registry:
        found.append(field.required(f"{path}.registry", _REGISTRY))
    elif len((body.get("tenant") or "").encode()) > _MAX_TENANT:
        detail = "must be a UUID and may not exceed a length of 64 characters"
        found.append(field.required(f"{path}.tenant", detail))
    else:
        pairs = registry.split(",")
        found += [
            field.invalid(f"{path}.registry", registry, _REGISTRY) for p in pairs if not _is_host_port(p)
        ]
    return found + needs("volume")(body, path)


def _is_host_port(text: str) -> bool:
    return re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*):[^:\[\]]*", text) is not None


def glusterfs(body: Object, path: str) -> list[FieldError]:
    """Check a GlusterFS volume; only PersistentVolumes name a namespace."""
    found, namespace = needs("endpoints", "path")(body, path), body.get("endpointsNamespace")
    where = f"{path}.endpointsNamespace"
    if namespace == "":
        detail = "if the endpointnamespace is set, it must be a valid namespace name"
        found.append(field.invalid(where, "", detail))
    return found + (formats.each(names.dns_label, namespace, where) if namespace else [])


def flocker(body: Object, path: str) -> list[FieldError]:
    """Check a Flocker dataset."""
    name, uuid, found = body.get("datasetName") or "", body.get("datasetUUID") or "", list[FieldError]()
    if not name and not uuid:
        found.append(field.required(path, "one of datasetName and datasetUUID is required"))
    if name and uuid:
        detail = "datasetName and datasetUUID can not be specified simultaneously"
        found.append(field.invalid(path, "resource", detail))
    if "/" in name:
        found.append(field.invalid(f"{path}.datasetName", name, "must not contain '/'"))
    return found


def with_secret(check: Check, *keys: str) -> Check:
    """Return a check that also demands `keys` of a secretRef that is there."""

    def both(body: Object, path: str) -> list[FieldError]:
        secret = body.get("secretRef")
        return check(body, path) + ([] if secret is None else needs(*keys)(secret, f"{path}.secretRef"))

    return both


def flex(body: Object, path: str) -> list[FieldError]:
    """Check a FlexVolume."""
    found = needs("driver")(body, path)
    for key in body.get("options") or ():
        domain = "." + key.partition("/")[0].lower()
        if domain.endswith((".kubernetes.io", ".k8s.io")):
            detail = "kubernetes.io and k8s.io namespaces are reserved"
            found.append(field.invalid(f"{path}.options[{key}]", key, detail))
    return found


def azure_file(body: Object, path: str) -> list[FieldError]:
    """Check an Azure share; only PersistentVolumes name a namespace."""
    found = needs("secretName", "shareName")(body, path)
    if body.get("secretNamespace") == "":
        found.append(field.required(f"{path}.secretNamespace"))
    return found


def azure_disk(body: Object, path: str) -> list[FieldError]:
    """Check an Azure disk."""
    found, kind, uri = needs("diskName", "diskURI")(body, path), body.get("kind"), body.get("diskURI") or ""
    found += formats.optional_choice(body.get("cachingMode"), _CACHING, f"{path}.cachingMode")
    found += formats.optional_choice(kind, _DISKS, f"{path}.kind")
    if kind == "Managed" and not uri.startswith("/subscriptions/"):
        found.append(field.not_supported(f"{path}.diskURI", uri, (_MANAGED,)))
    if kind not in (None, "Managed") and not uri.startswith("https://"):
        found.append(field.not_supported(f"{path}.diskURI", uri, (_BLOB,)))
    return found


def storage_os(body: Object, path: str) -> list[FieldError]:
    """Check a StorageOS volume."""
    found = formats.required_name(body.get("volumeName"), names.dns_label, f"{path}.volumeName")
    namespace = body.get("volumeNamespace") or ""
    return found + (formats.each(names.dns_label, namespace, f"{path}.volumeNamespace") if namespace else [])


def local(body: Object, path: str) -> list[FieldError]:
    """Check a local disk or directory."""
    return needs("path")(body, path) + no_back_steps(body.get("path") or "", f"{path}.path")


def csi_persistent(body: Object, path: str) -> list[FieldError]:
    """Check a CSI volume that a PersistentVolume is."""
    found = formats.csi_driver(body.get("driver") or "", f"{path}.driver") + needs("volumeHandle")(body, path)
    for key in _SECRET_REFS:
        secret = body.get(key)
        if secret is not None:
            where = f"{path}.{key}"
            found += formats.required_name(secret.get("name"), names.dns_subdomain, f"{where}.name")
            found += formats.required_name(secret.get("namespace"), names.dns_label, f"{where}.namespace")
    return found


def csi_inline(body: Object, path: str) -> list[FieldError]:
    """Check a CSI volume that a Pod describes."""
    found = formats.csi_driver(body.get("driver") or "", f"{path}.driver")
    secret = body.get("nodePublishSecretRef")
    if secret is None:
        return found
    if not secret.get("name"):
        return [*found, field.required(f"{path}.nodePublishSecretRef.name")]
    return found + formats.each(names.dns_subdomain, secret["name"], f"{path}.name")


def iscsi_is_too_long(name: str, body: Object) -> bool:
    """Tell whether an initiator's session, which names the volume, gets too long."""
    whole = f"{name}:{body.get('targetPortal') or ''}"
    return body.get("initiatorName") is not None and len(whole.encode()) > ISCSI_TOTAL


def both_kinds(*, is_persistent: bool) -> dict[str, Check]:
    """Return the checks of types that Pods and PersistentVolumes share, in no order."""
    keys: Iterable[str] = ("name", "namespace") if is_persistent else ("name",)
    return {
        "hostPath": host_path,
        "gcePersistentDisk": disk("pdName", "persistentDisk"),
        "awsElasticBlockStore": disk("volumeID"),
        "nfs": nfs,
        "iscsi": iscsi(is_persistent=is_persistent),
        "glusterfs": glusterfs,
        "flocker": flocker,
        "rbd": needs("monitors", "image"),
        "cinder": with_secret(needs("volumeID"), *keys),
        "cephfs": needs("monitors"),
        "quobyte": quobyte,
        "fc": fibre_channel,
        "flexVolume": flex,
        "azureFile": azure_file,
        "vsphereVolume": needs("volumePath"),
        "photonPersistentDisk": needs("pdID"),
        "portworxVolume": needs("volumeID"),
        "azureDisk": azure_disk,
        "storageos": with_secret(storage_os, *keys),
        "scaleIO": needs("gateway", "system", "volumeName"),
    }


def ordered(checks: Mapping[str, Any], *kinds: str) -> dict[str, Any]:
    """Return checks in upstream's order of types."""
    return {kind: checks[kind] for kind in kinds}
