"""Strategy of ResourceClaims and ResourceSlices. Pure. Source: pkg/registry/resource/*/strategy.go.

What belongs to features that are off by default in v1.36 (DRAListTypeAttributes, DRANodeAllocatableResources)
is dropped.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.api.strategy.rules import METADATA, Rules

_LISTS: Final = ("bools", "ints", "strings", "versions")


class ClaimRules(Rules):
    """Reports about devices end with their allocation."""

    status_keeps_metadata = METADATA

    def on_status_update(self, new: dict[str, Any], old: Object) -> None:
        """Drop the reports of devices that are no longer allocated."""
        status = new.get("status") or {}
        freed = _allocated(objects.status(old)) - _allocated(status)
        if freed and status.get("devices"):
            status["devices"] = [d for d in status["devices"] if _identity(d) not in freed]
            if not status["devices"]:
                del status["devices"]


def _allocated(status: Object) -> set[tuple[Any, ...]]:
    results = ((status.get("allocation") or {}).get("devices") or {}).get("results") or ()
    return {_identity(result) for result in results}


def _identity(device: Object) -> tuple[Any, ...]:
    return tuple(device.get(key) or "" for key in ("driver", "pool", "device", "shareID"))


class SliceRules(Rules):
    """Remembers since when a device is tainted."""

    def on_create(self, obj: dict[str, Any]) -> None:
        """Date the taints."""
        _drop_disabled(obj)
        for device in objects.spec(obj).get("devices") or ():
            for taint in device.get("taints") or ():
                taint.setdefault("timeAdded", obj["metadata"]["creationTimestamp"])

    def on_update(self, new: dict[str, Any], old: Object) -> None:
        """Keep the dates of taints that the driver repeats without them."""
        _drop_disabled(new)
        dates = {
            (device.get("name"), taint.get("key"), taint.get("value"), taint.get("effect")): taint[
                "timeAdded"
            ]
            for device in objects.spec(old).get("devices") or ()
            for taint in device.get("taints") or ()
            if taint.get("timeAdded")
        }
        for device in objects.spec(new).get("devices") or ():
            for taint in device.get("taints") or ():
                key = (device.get("name"), taint.get("key"), taint.get("value"), taint.get("effect"))
                if not taint.get("timeAdded") and key in dates:
                    taint["timeAdded"] = dates[key]


def _drop_disabled(obj: Object) -> None:
    for device in objects.spec(obj).get("devices") or ():
        device.pop("nodeAllocatableResourceMappings", None)
        for attribute in (device.get("attributes") or {}).values():
            for key in _LISTS:
                attribute.pop(key, None)


CLAIM: Final = ClaimRules()
SLICE: Final = SliceRules()
