"""What the server does about FlowSchemas and levels that every cluster has, and about dangling ones. Pure.

Mandatory objects always have their spec; suggested ones while `apf.kubernetes.io/autoupdate-spec` is true (or
nobody has changed them yet); what was suggested once and is no longer goes.
Source: pkg/registry/flowcontrol/ensurer/strategy.go, apiserver/pkg/util/flowcontrol/apf_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nanokube.api import flow_defaults, objects
from nanokube.api.field import quote
from nanokube.api.objects import Object

DANGLING: Final = "Dangling"


def missing(specs: flow_defaults.Specs, live: Mapping[str, Object], kind: str) -> list[dict[str, Any]]:
    """Build the objects that are not there."""
    return [
        {
            "apiVersion": flow_defaults.API_VERSION,
            "kind": kind,
            "metadata": {"name": name, "annotations": {flow_defaults.AUTO_UPDATE: "true"}},
            "spec": objects.copy(spec),
        }
        for name, spec in specs.items()
        if name not in live
    ]


def revised(live: Object, spec: Mapping[str, Any], *, is_mandatory: bool) -> dict[str, Any] | None:
    """Return the object as it should be, or None if it is."""
    said = objects.annotations(live).get(flow_defaults.AUTO_UPDATE)
    known = {"true": True, "false": False}.get(said or "")
    wanted_annotation = is_mandatory or (known if known is not None else objects.generation(live) == 1)
    wanted = objects.copy(dict(spec))
    if is_mandatory and objects.name(live) == flow_defaults.EXEMPT and objects.spec(live).get("exempt"):
        wanted["exempt"] = objects.spec(live)["exempt"]  # the administrator's to change
    replaces = wanted_annotation and objects.spec(live) != wanted
    if known == wanted_annotation and not replaces:
        return None
    new: dict[str, Any] = objects.copy(dict(live))
    text = "true" if wanted_annotation else "false"
    new["metadata"]["annotations"] = {**objects.annotations(live), flow_defaults.AUTO_UPDATE: text}
    if replaces:
        new["spec"] = wanted
    return new


def unwanted(live: Iterable[Object], names: Iterable[str]) -> list[str]:
    """Name the objects that the server once made and no longer does."""
    known = set(names)
    return [
        objects.name(obj)
        for obj in live
        if objects.name(obj) not in known
        and objects.annotations(obj).get(flow_defaults.AUTO_UPDATE) == "true"
    ]


def dangling(schema: Object, levels: Iterable[str], now: str) -> dict[str, Any] | None:
    """Return the Dangling condition that a FlowSchema should have, or None if it has it."""
    level = (objects.spec(schema).get("priorityLevelConfiguration") or {}).get("name") or ""
    about = f"This FlowSchema references the PriorityLevelConfiguration object named {quote(level)}"
    if level in levels:
        status, reason, message = "False", "Found", f"{about} and it exists"
    else:
        status, reason, message = "True", "NotFound", f"{about} but there is no such object"
    wanted = {"status": status, "reason": reason, "message": message}
    old = objects.condition(schema, DANGLING) or {}
    if all(old.get(key) == value for key, value in wanted.items()):
        return None
    return {"type": DANGLING, "lastTransitionTime": now, **wanted}


def applied(schema: Object, condition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration by which a FlowSchema's status gets one condition."""
    return {
        "apiVersion": flow_defaults.API_VERSION,
        "kind": "FlowSchema",
        "metadata": {"name": objects.name(schema)},
        "status": {"conditions": [dict(condition)]},
    }
