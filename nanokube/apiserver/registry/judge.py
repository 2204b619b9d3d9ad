"""What takes long of the validation of an object, in slices: a definition of a megabyte takes 0.15 s."""

from __future__ import annotations

from functools import partial
from typing import Final

from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.resources import Resource
from nanokube.api.validation import extensions
from nanokube.apiserver.slices import Work

_LONG: Final = "customresourcedefinitions.apiextensions.k8s.io"


async def own(resource: Resource, new: Object, old: Object | None = None) -> list[FieldError] | None:
    """Ask a kind's own rules of an object that is made, or is to replace another; None for most kinds."""
    if resource.name != _LONG:
        return None
    return await Work(partial(extensions.validate_steps, new, old)).result()
