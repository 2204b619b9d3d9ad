"""Columns of Events, of either group. Pure. Source: printEvent of printers.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects, timestamps
from nanokube.api.objects import Object
from nanokube.api.table.columns import Column, Columns, wide


def _cells(obj: Object, now: float) -> list[Any]:
    """Read both spellings: core v1 fields, and events.k8s.io fields where those are missing."""
    regarding = obj.get("involvedObject") or obj.get("regarding") or {}
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    first = _either(obj, "firstTimestamp") or obj.get("eventTime") or ""
    last = _either(obj, "lastTimestamp") or first
    count = _either(obj, "count") or 1
    if obj.get("series"):
        last = obj["series"].get("lastObservedTime") or ""
        count = obj["series"].get("count") or 0
    kind, name = str(regarding.get("kind") or "").lower(), regarding.get("name")
    component = source.get("component") or obj.get("reportingComponent") or obj.get("reportingController")
    instance = source.get("host") or obj.get("reportingInstance")
    return [
        timestamps.age(last, now),
        obj.get("type") or "",
        obj.get("reason") or "",
        f"{kind}/{name}" if name else kind,
        regarding.get("fieldPath") or "",
        f"{component or ''}, {instance}" if instance else component or "",
        str(obj.get("message") or obj.get("note") or "").strip(),
        timestamps.age(first, now),
        count,
        objects.name(obj),
    ]


def _either(obj: Object, field: str) -> Any:
    return obj.get(field) or obj.get(f"deprecated{field[0].upper()}{field[1:]}")


COLUMNS: Final = Columns(
    (
        Column("Last Seen"),
        Column("Type"),
        Column("Reason"),
        Column("Object"),
        wide("Subobject"),
        wide("Source"),
        Column("Message"),
        wide("First Seen"),
        wide("Count"),
        Column("Name", priority=1, format="name"),
    ),
    _cells,
)
