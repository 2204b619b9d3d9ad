"""Items in the form a request asks for: object, Table, PartialObjectMetadata; one, a list, an event."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from nanokube.api import errors, field, table
from nanokube.api.resources import Resource
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.cache.selected import Selected
from nanokube.apiserver.endpoints.negotiate import Form
from nanokube.apiserver.registry import views
from nanokube.kit.http.message import LongBody, Parts

# A list above this is joined piece by piece while it is sent: pages fresh from the kernel cost more than TLS.
PIECE_BYTES: Final = 1 << 18


def include_object(asked: str, form: Form) -> str:
    """Read the includeObject option of Tables. Raises ApiError (400)."""
    if form.shape != "Table" or not asked:
        return table.METADATA_ONLY
    if asked not in (table.NO_OBJECT, table.METADATA_ONLY, table.WHOLE_OBJECT):
        cause = field.invalid("includeObject", asked, "must be 'Metadata', 'Object', 'None', or empty")
        raise errors.bad_request(f"Unable to convert to Table as requested: {cause}")
    return asked


def one(
    resource: Resource,
    item: Item,
    form: Form,
    now: float,
    include: str = table.METADATA_ONLY,
    *,
    with_columns: bool = True,
) -> bytes:
    """Render one object. with_columns: what a Table's columns mean is said too."""
    if not form.shape:
        return views.raw(resource, item)
    obj = views.from_storage(resource, item.object())
    return orjson.dumps(shaped(resource, obj, form, now, include, with_columns=with_columns))


def shaped(
    resource: Resource,
    obj: dict[str, Any],
    form: Form,
    now: float,
    include: str,
    *,
    with_columns: bool = True,
) -> dict[str, Any]:
    """Give an object the shape asked for."""
    if form.shape == "Table":
        metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        found = table.to_table(
            resource,
            [obj],
            now=now,
            list_metadata=metadata,
            include_object=include,
            with_columns=with_columns,
        )
    else:
        found = table.partial_metadata(obj)
    return versioned(found, form)


def versioned(shape: dict[str, Any], form: Form) -> dict[str, Any]:
    """Give a shape the version asked for: meta.k8s.io/v1beta1 looks as v1 does."""
    if form.version == "v1":
        return shape
    found = {**shape, "apiVersion": f"meta.k8s.io/{form.version}"}
    inner = [*(found.get("items") or ()), *(row["object"] or {} for row in found.get("rows") or ())]
    for each in inner:
        if each.get("kind") == "PartialObjectMetadata":
            each["apiVersion"] = found["apiVersion"]
    return found


def many(
    resource: Resource,
    items: Sequence[Item],
    metadata: dict[str, Any],
    form: Form,
    now: float,
    include: str = table.METADATA_ONLY,
) -> Parts:
    """Render a list, as parts to be sent one after the other."""
    if form.shape:
        objs = [views.from_storage(resource, item.object()) for item in items]
        if form.shape == "Table":
            found = table.to_table(resource, objs, now=now, list_metadata=metadata, include_object=include)
        else:
            found = table.partial_metadata_list(objs, metadata)
        return [orjson.dumps(versioned(found, form))]
    head = b'{"kind":"%b","apiVersion":"%b","metadata":%b,"items":[' % (
        resource.list_kind.encode(),
        resource.api_version.encode(),
        orjson.dumps(metadata),
    )
    raws = [views.raw(resource, item) for item in items] if resource.stored_as else [i.raw for i in items]
    if not raws:
        return [head, b"]}\n"]
    # The items of a list do not repeat their kind: it is cut off the front, where encode() puts it.
    front = b'{"kind":"%b","apiVersion":"%b",' % (resource.kind.encode(), resource.api_version.encode())
    cut = len(front)
    size = len(head) + 1 + sum(map(len, raws)) + (2 - cut) * len(raws) - 2 + len(_END)
    if size <= PIECE_BYTES:
        return [head, b"{", b",{".join([raw[cut:] for raw in raws]), _END]
    count = max(1, PIECE_BYTES * len(raws) // size)

    def make() -> Iterator[bytes]:
        pieces = _pieces(raws, cut, count)
        if isinstance(items, Selected):
            pieces = items.joined(front, pieces, size)
        return itertools.chain((head,), pieces)

    return LongBody(size, make)


_END: Final = b"]}\n"


def _pieces(raws: Sequence[bytes], cut: int, count: int) -> Iterator[bytes]:
    """Yield a list behind its head, `count` items at a time, each without its first `cut` bytes."""
    for start in range(0, len(raws), count):
        lead = b"" if start else b"{%b" % raws[0][cut:]
        some = raws[start : start + count] if start else raws[1:count]
        yield b",{".join([lead, *[memoryview(raw)[cut:] for raw in some]])
    yield _END
