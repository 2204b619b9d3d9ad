"""The Scale of an object of any kind that has one, built in or custom. Pure."""

from __future__ import annotations

from typing import Any

from nanokube.api import scale
from nanokube.api.objects import Object
from nanokube.api.resource import Resource


def scale_of(resource: Resource, obj: Object) -> dict[str, Any]:
    """Build the Scale of an object. Raises ApiError (500): a custom one without replicas."""
    if resource.custom is not None and resource.custom.scale is not None:
        return resource.custom.scale.to_scale(obj)
    return scale.from_object(obj)


def put_scale(resource: Resource, obj: Object, wanted: Object) -> dict[str, Any]:
    """Return a copy of an object with a Scale's replicas (and version). Raises ApiError (400, 500)."""
    if resource.custom is not None and resource.custom.scale is not None:
        return resource.custom.scale.apply(obj, wanted)
    return scale.apply(obj, wanted)


def replicas_path(resource: Resource) -> tuple[str, ...]:
    """Name the fields that lead to the replicas of an object."""
    if resource.custom is None or resource.custom.scale is None:
        return scale.REPLICAS
    return tuple(resource.custom.scale.spec.removeprefix(".").split("."))
