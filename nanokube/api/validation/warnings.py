"""What is accepted, but worth a word to the client. Pure.

Source: the strategies' WarningsOnCreate and WarningsOnUpdate.
"""

from __future__ import annotations

from nanokube.api.custom import definition, kind
from nanokube.api.objects import Object
from nanokube.api.resources import Resource


def of(resource: Resource, new: Object, old: Object | None = None) -> list[str]:
    """Return what to say of a valid object, new or in the place of another; not of a changed status."""
    if resource.custom is not None:
        return kind.finalizer_warnings(new, old)
    if resource.name == "customresourcedefinitions.apiextensions.k8s.io":
        return definition.warnings(new, old)
    return []
