"""What takes long before an object can be judged, in slices: with a definition of a megabyte, some 0.2 s."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

from nanokube.api.custom.kind import CustomKind
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.resources import Resource
from nanokube.api.validation import extensions
from nanokube.apiserver.slices import Work

_LONG: Final = "customresourcedefinitions.apiextensions.k8s.io"
_preparing: WeakKeyDictionary[CustomKind, Work[None]] = WeakKeyDictionary()


async def prepare(resource: Resource) -> None:
    """Make what writes of a custom resource need, unless it is there; of all that wait one does the work."""
    kind = resource.custom
    if kind is None or kind.is_prepared:
        return
    work = _preparing.get(kind)
    if work is None:
        work = _preparing[kind] = Work(kind.prepare)
    await work.result()
    _preparing.pop(kind, None)


async def own(resource: Resource, new: Object, old: Object | None = None) -> list[FieldError] | None:
    """Ask a kind's own rules of an object that is made, or is to replace another; None for most kinds."""
    if resource.name != _LONG:
        return None
    await asyncio.sleep(0)  # what was before and what comes after take some 10 ms each, too
    found = await Work(partial(extensions.validate_steps, new, old)).result()
    await asyncio.sleep(0)
    return found
