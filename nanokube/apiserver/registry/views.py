"""Objects that two group-versions show. Pure.

events.k8s.io/v1 is a view of core v1 events, autoscaling/v1 one of autoscaling/v2.
Source: pkg/apis/events/v1/conversion.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from nanokube.api import autoscaling, facts, zeros
from nanokube.api.resources import Resource
from nanokube.apiserver.cache.item import Item

# events.k8s.io/v1 field -> core/v1 field
_EVENT_FIELDS: Final[Mapping[str, str]] = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_BACK: Final = {core: new for new, core in _EVENT_FIELDS.items()}


def to_storage(resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
    """Convert an object from the version of a request to the stored one."""
    if not resource.stored_as:
        return obj
    if resource.group == "autoscaling":
        return autoscaling.to_v2(obj)
    found = {_EVENT_FIELDS.get(key, key): value for key, value in obj.items()}
    return {**found, "apiVersion": "v1", "kind": "Event"}


def from_storage(resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
    """Convert a stored object to the version of a request."""
    if not resource.stored_as:
        return obj
    if resource.group == "autoscaling":
        shown = autoscaling.to_v1(obj)
        zeros.fill(str(facts.name_of(resource.group, resource.version, resource.kind)), shown)
        return shown
    found = {_BACK.get(key, key): value for key, value in obj.items()}
    return {**found, "apiVersion": resource.api_version, "kind": resource.kind}


def raw(resource: Resource, item: Item) -> bytes:
    """Give an item's bytes in the version of a request; stored bytes where that is the same."""
    if not resource.stored_as:
        return item.raw
    return orjson.dumps(from_storage(resource, item.object()))
