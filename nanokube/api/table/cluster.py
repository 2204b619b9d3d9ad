"""Columns of Nodes and Namespaces. Pure. Source: pkg/printers/internalversion/printers.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.api.table.columns import AGE, NAME, NONE, Column, Columns, age, join, wide

_ROLE_PREFIX: Final = "node-role.kubernetes.io/"
_UNKNOWN: Final = "<unknown>"


def _node(obj: Object, now: float) -> list[Any]:
    info = objects.status(obj).get("nodeInfo") or {}
    kernel = info.get("kernelVersion") or _UNKNOWN
    if info.get("architecture"):
        kernel += f" ({info['architecture']})"
    return [
        objects.name(obj),
        _status(obj),
        _roles(obj),
        age(obj, now),
        info.get("kubeletVersion") or "",
        _address(obj, "InternalIP"),
        _address(obj, "ExternalIP"),
        info.get("osImage") or _UNKNOWN,
        kernel,
        info.get("containerRuntimeVersion") or _UNKNOWN,
    ]


def _status(obj: Object) -> str:
    ready = objects.condition(obj, "Ready")
    text = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    return f"{text},SchedulingDisabled" if objects.spec(obj).get("unschedulable") else text


def _roles(obj: Object) -> str:
    roles = {k.removeprefix(_ROLE_PREFIX) for k in objects.labels(obj) if k.startswith(_ROLE_PREFIX)}
    roles.add(objects.labels(obj).get("kubernetes.io/role", ""))
    return join(sorted(roles - {""}))


def _address(obj: Object, type_: str) -> str:
    addresses = objects.status(obj).get("addresses") or ()
    return next((a.get("address", "") for a in addresses if a.get("type") == type_), NONE)


def _namespace(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), objects.status(obj).get("phase") or "", age(obj, now)]


NODE: Final = Columns(
    (
        NAME,
        Column("Status"),
        Column("Roles"),
        AGE,
        Column("Version"),
        wide("Internal-IP"),
        wide("External-IP"),
        wide("OS-Image"),
        wide("Kernel-Version"),
        wide("Container-Runtime"),
    ),
    _node,
)
NAMESPACE: Final = Columns((NAME, Column("Status"), AGE), _namespace)
