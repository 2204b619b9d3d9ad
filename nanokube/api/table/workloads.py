"""Columns of the apps group. Pure. Source: pkg/printers/internalversion/printers.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects, selectors
from nanokube.api.objects import Object
from nanokube.api.table.columns import AGE, NAME, Column, Columns, age, wide


def _deployment(obj: Object, now: float) -> list[Any]:
    spec, status = objects.spec(obj), objects.status(obj)
    return [
        objects.name(obj),
        f"{status.get('readyReplicas') or 0}/{spec.get('replicas') or 0}",
        status.get("updatedReplicas") or 0,
        status.get("availableReplicas") or 0,
        age(obj, now),
        *_template(spec),
    ]


def _replica_set(obj: Object, now: float) -> list[Any]:
    spec, status = objects.spec(obj), objects.status(obj)
    return [
        objects.name(obj),
        spec.get("replicas") or 0,
        status.get("replicas") or 0,
        status.get("readyReplicas") or 0,
        age(obj, now),
        *_template(spec),
    ]


def _scale(obj: Object, now: float) -> list[Any]:
    wanted, found = (part(obj).get("replicas") or 0 for part in (objects.spec, objects.status))
    return [objects.name(obj), wanted, found, age(obj, now)]


def _template(spec: Object) -> list[str]:
    """Return the cells of containers, images and selector."""
    containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or ()
    try:
        selector = str(selectors.from_object(spec.get("selector")))
    except ValueError:
        selector = "<invalid>"
    return [
        ",".join(c.get("name", "") for c in containers),
        ",".join(c.get("image", "") for c in containers),
        selector,
    ]


_TEMPLATE_COLUMNS: Final = (wide("Containers"), wide("Images"), wide("Selector"))

SCALE: Final = Columns(
    (Column("Name"), Column("Desired", "integer"), Column("Available", "integer"), Column("Age")), _scale
)
DEPLOYMENT: Final = Columns(
    (
        NAME,
        Column("Ready"),
        Column("Up-to-date"),
        Column("Available"),
        AGE,
        *_TEMPLATE_COLUMNS,
    ),
    _deployment,
)
REPLICA_SET: Final = Columns(
    (
        NAME,
        Column("Desired", "integer"),
        Column("Current", "integer"),
        Column("Ready", "integer"),
        AGE,
        *_TEMPLATE_COLUMNS,
    ),
    _replica_set,
)
