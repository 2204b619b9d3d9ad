"""Schemas of definitions, with the descriptions of the installed kubernetes-validate package. Pure but for
reading it.

That package edits upstream's schemas for its own use (nullable types, enumerated kinds); this undoes the
edits.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

import orjson

from nanokube.api import facts

_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1"
STATUS: Final = f"{_META}.Status"
DELETE_OPTIONS: Final = f"{_META}.DeleteOptions"
PATCH: Final = f"{_META}.Patch"
WATCH_EVENT: Final = f"{_META}.WatchEvent"
_INT_OR_STRING: Final = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_VERSION: Final = "v1.36.0"
_VALUES: Final = Path(__file__).parent.with_name("data") / "enums.json"

_ZEROS: Final = {"s": "", "i": 0, "l": 0, "n": 0, "b": False}  # by facts.Type.code

_API: Final = "io.k8s.api."
# Defaults that are told of by markers at upstream's types (+default=…), not by the types: value, its fields.
_MARKED: Final[Sequence[tuple[Any, str]]] = (
    (
        "",
        "core.v1.ConfigMapEnvSource.name core.v1.ConfigMapKeySelector.name core.v1.ConfigMapProjection.name",
    ),
    ("", "core.v1.ConfigMapVolumeSource.name core.v1.LocalObjectReference.name core.v1.SecretEnvSource.name"),
    ("", "core.v1.SecretKeySelector.name core.v1.SecretProjection.name core.v1.GRPCAction.service"),
    ("", "apps.v1.StatefulSetSpec.serviceName authentication.v1.TokenRequestStatus.token"),
    ("", "batch.v1.PodFailurePolicyOnPodConditionsPattern.status rbac.v1.RoleRef.apiGroup"),
    ("", "core.v1.Event.reportingComponent core.v1.Event.reportingInstance core.v1.NodeRuntimeHandler.name"),
    (0, "apps.v1.StatefulSetOrdinals.start autoscaling.v1.ScaleSpec.replicas"),
    (0, "scheduling.v1.PriorityClass.value"),
    (0, "core.v1.ReplicationControllerSpec.minReadySeconds flowcontrol.v1.FlowSchemaSpec.matchingPrecedence"),
    (0, "flowcontrol.v1.QueuingConfiguration.handSize flowcontrol.v1.QueuingConfiguration.queues"),
    (0, "flowcontrol.v1.QueuingConfiguration.queueLengthLimit apps.v1.StatefulSetStatus.availableReplicas"),
    (
        0,
        "policy.v1.PodDisruptionBudgetStatus.currentHealthy policy.v1.PodDisruptionBudgetStatus.expectedPods",
    ),
    (0, "policy.v1.PodDisruptionBudgetStatus.desiredHealthy"),
    (0, "policy.v1.PodDisruptionBudgetStatus.disruptionsAllowed"),
    (1, "core.v1.ReplicationControllerSpec.replicas"),
    (False, "core.v1.AzureDiskVolumeSource.readOnly core.v1.FileKeySelector.optional"),
    ("ReadWrite", "core.v1.AzureDiskVolumeSource.cachingMode"),
    ("Shared", "core.v1.AzureDiskVolumeSource.kind"),
    ("ext4", "core.v1.AzureDiskVolumeSource.fsType"),
    (
        "default",
        "core.v1.ISCSIPersistentVolumeSource.iscsiInterface core.v1.ISCSIVolumeSource.iscsiInterface",
    ),
    ("/etc/ceph/keyring", "core.v1.RBDPersistentVolumeSource.keyring core.v1.RBDVolumeSource.keyring"),
    ("rbd", "core.v1.RBDPersistentVolumeSource.pool core.v1.RBDVolumeSource.pool"),
    ("admin", "core.v1.RBDPersistentVolumeSource.user core.v1.RBDVolumeSource.user"),
    ("xfs", "core.v1.ScaleIOPersistentVolumeSource.fsType core.v1.ScaleIOVolumeSource.fsType"),
    ("ThinProvisioned", "core.v1.ScaleIOPersistentVolumeSource.storageMode"),
    ("ThinProvisioned", "core.v1.ScaleIOVolumeSource.storageMode"),
    ("Equal", "resource.v1.DeviceToleration.operator"),
)
# Fields that are demanded, and yet pointers: no zero stands for them.
_POINTERS: Final = (
    "admissionregistration.v1.MutatingWebhook.sideEffects",
    "admissionregistration.v1.ValidatingWebhook.sideEffects",
    "networking.v1.HTTPIngressPath.pathType",
)
_DEFAULTS: Final[Mapping[str, Any]] = {
    **{_API + field: value for value, fields in _MARKED for field in fields.split()},
    **dict.fromkeys(_API + field for field in _POINTERS),
}

V2_PREFIX: Final = "#/definitions/"
V3_PREFIX: Final = "#/components/schemas/"


def v2(names: Iterable[str]) -> dict[str, Any]:
    """Build the definitions of Swagger 2.0 that the named ones need."""
    found = _closure(names, V2_PREFIX)
    found_quantity = found.get(_QUANTITY)
    if found_quantity is not None:
        found_quantity["type"] = "string"
    if _INT_OR_STRING in found:
        found[_INT_OR_STRING] |= {"type": "string", "format": "int-or-string"}
    return found


def v3(names: Iterable[str]) -> dict[str, Any]:
    """Build the component schemas of OpenAPI v3 that the named definitions need."""
    found = _closure(names, V3_PREFIX)
    if _QUANTITY in found:
        found[_QUANTITY]["oneOf"] = [{"type": "string"}, {"type": "number"}]
    if _INT_OR_STRING in found:
        found[_INT_OR_STRING] |= {
            "format": "int-or-string",
            "oneOf": [{"type": "integer"}, {"type": "string"}],
        }
    return found


def _closure(names: Iterable[str], prefix: str) -> dict[str, Any]:
    source, found, todo = _read(), dict[str, Any](), list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = _definition(name, source[name], prefix, todo)
    return dict(sorted(found.items()))


def _read() -> Mapping[str, Any]:
    base = resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"{_VERSION}-local"
    table: Mapping[str, Any] = orjson.loads((base / "_definitions.json").read_bytes())["$defs"]
    return table


@functools.cache
def _values() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Read which fields have only some values (+enum at upstream's types): definition -> field -> values.

    A field ends with [] where these are of what is in a list, with {} of a map.
    """
    table: Mapping[str, Any] = orjson.loads(_VALUES.read_bytes())
    return table


def _definition(name: str, schema: Mapping[str, Any], prefix: str, todo: list[str]) -> dict[str, Any]:
    found = _schema(schema, prefix, todo)
    for key, sub in found.get("properties", {}).items():
        if prefix == V3_PREFIX:  # of version 2 kubectl took a default for what the field is
            _set_default(name, key, sub, is_required=key in schema.get("required", ()))
        if key in ("apiVersion", "kind"):
            sub.pop("enum", None)
    for field, values in _values().get(name, {}).items():
        _set_values(found["properties"], field, values)
    return found


def _set_values(properties: dict[str, Any], field: str, values: Sequence[str]) -> None:
    """Name, in place, the only values of a field, or of what is in its list or map."""
    sub = properties[field.rstrip("[]{}")]
    if field.endswith("]"):
        sub["items"]["enum"] = list(values)
    elif field.endswith("}"):
        sub["additionalProperties"]["enum"] = list(values)
    else:
        sub["enum"] = list(values)
        told = "".join(f'\n - `"{value}"`' for value in values)
        sub["description"] = f"{sub.get('description', '')}\n\nPossible enum values:{told}"


def _set_default(name: str, key: str, sub: dict[str, Any], *, is_required: bool) -> None:
    """Say, in place, what a field is if nobody says so: a zero, if Go has no way to leave it out."""
    field, place = facts.definition(name).fields[key], f"{name}.{key}"
    if field.is_written:  # of a pointer it would be untrue: generators take it for always there
        if "$ref" in sub:
            sub["allOf"] = [{"$ref": sub.pop("$ref")}]
        sub["default"] = {}
        return
    default = field.default
    if default is None and is_required and not field.drops_zero:
        default = _ZEROS.get(field.type.code)
    default = _DEFAULTS.get(place, default)
    if default is not None:
        sub["default"] = default


def _schema(schema: Mapping[str, Any], prefix: str, todo: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "$ref":
                name = value.rsplit("/", 1)[1]
                todo.append(name)
                found["$ref"] = prefix + name
            case "type":
                found["type"] = next(t for t in value if t != "null") if type(value) is list else value
            case "properties":
                found[key] = {k: _schema(v, prefix, todo) for k, v in value.items()}
            case "items" | "additionalProperties":
                found[key] = _schema(value, prefix, todo) if type(value) is dict else value
            case "oneOf":
                pass  # quantities and int-or-string: set by the caller
            case _:
                found[key] = value
    if "$ref" in found and len(found) > 1 and prefix == V3_PREFIX:
        # in v3 a reference stands alone, so that what is beside it needs allOf
        found = {"allOf": [{"$ref": found.pop("$ref")}], **found}
    return found
