"""`metadata.managedFields`: which manager set which field, by update or by apply. Pure.

Source: staging/src/k8s.io/apimachinery/pkg/util/managedfields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from nanokube.api import facts, objects
from nanokube.api.objects import Object
from nanokube.api.patch import entries, fieldsets
from nanokube.api.patch.fieldsets import FieldSet

# Field sets by what they are made of: replicas of a template have the same, and their kubelets write the same
# fields of their status. Nobody changes a set in place.
_REMEMBERED: Final[dict[tuple[str, bytes], FieldSet]] = {}
_MOST_REMEMBERED: Final = 256
_MEMORABLE_BYTES: Final = 16_384

_ELEMENTS: Final = ("f:", "k:", "v:", "i:")

UNMANAGED_METADATA: Final = frozenset(
    (
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "selfLink",
        "managedFields",
    )
)
"""What the server owns: nobody manages these."""


# what an endpoint of a kind does not write, besides the other half of the object (GetResetFields)
_RESET: Final[Mapping[tuple[Any, str], tuple[str, ...]]] = {
    ("CertificateSigningRequest", ""): ("spec", "status"),
    ("CertificateSigningRequest", "approval"): ("spec", "status.certificate"),
    ("CertificateSigningRequest", "status"): ("spec", "status.conditions"),
    ("Deployment", "status"): ("spec", "metadata.labels"),
    ("FlowSchema", "status"): ("spec", "metadata"),
    ("Pod", "status"): ("spec", "metadata.ownerReferences"),
    ("PriorityLevelConfiguration", "status"): ("spec", "metadata"),
    ("ResourceClaim", "status"): ("spec", "metadata"),
    ("ServiceCIDR", "status"): ("spec", "metadata"),
    ("ValidatingAdmissionPolicy", "status"): ("spec", "metadata"),
    ("VolumeAttachment", "status"): ("spec", "metadata"),
}


def manageable(
    obj: Object, subresource: str = "", definition: facts.Definition | None = None
) -> dict[str, Any]:
    """Return the object without what nobody manages, and without what this endpoint does not write."""
    found = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata")}
    metadata = {k: v for k, v in objects.metadata(obj).items() if k not in UNMANAGED_METADATA}
    if metadata:
        found["metadata"] = metadata
    for path in _reset(obj.get("kind"), subresource, definition):
        key, _, below = path.partition(".")
        if not below:
            found.pop(key, None)
        elif key in found:
            rest = {k: v for k, v in found[key].items() if k != below}
            found.pop(key)
            if rest:
                found[key] = rest
    return found


def _reset(kind: Any, subresource: str, definition: facts.Definition | None) -> tuple[str, ...]:
    if definition is not None and definition.resets is not None:
        return definition.resets.get(subresource, ())
    return _RESET.get((kind, subresource), ("spec" if subresource == "status" else "status",))


def track_update(
    definition: facts.Definition,
    old: Object | None,
    new: dict[str, Any],
    *,
    manager: str,
    api_version: str,
    now: str,
    subresource: str = "",
    spec: FieldSet | None = None,
) -> None:
    """Record in `new`, in place, that `manager` set what differs from `old` (None: a new object).

    `new` may bring entries of its own, which replace those of `old`, except through a subresource: [] or [{}]
    none at all. An object
    without entries gets none until somebody applies to it. spec: what that of a new object sets, if known.
    """
    type_ = definition.type
    present = _entries(old, new, subresource)
    if old is not None and not present:
        new["metadata"]["managedFields"] = []
        return
    after = manageable(new, subresource, definition)
    if old is None:
        mine, gone = _of_new(type_, after, spec), FieldSet()
    else:  # objects always have metadata: what is managed of it comes and goes within
        before = manageable(old, subresource, definition)
        before.setdefault("metadata", {})
        after.setdefault("metadata", {})
        mine, gone = fieldsets.compared(type_, before, after)
    if not mine and not gone:
        new["metadata"]["managedFields"] = entries.in_order(present)
        return
    keep: list[dict[str, Any]] = []
    previous: FieldSet = {}
    for entry in present:
        is_mine = entries.matches(entry, manager, entries.UPDATE, subresource)
        fields = entry.get("fieldsV1") or {}
        fields = fieldsets.subtract(fields, gone) if gone else fields
        if is_mine:
            previous = fields
        else:
            fields = _left(fields, mine) if mine else fields
            if fields:
                keep.append({**entry, "fieldsV1": fields})
    total = _united(previous, mine) if old is not None else fieldsets.union(previous, mine)
    if total:
        keep.append(entries.entry_of(manager, entries.UPDATE, api_version, now, total, subresource))
    new["metadata"]["managedFields"] = entries.in_order(entries.capped(keep))


def _of_new(type_: facts.Type, after: dict[str, Any], spec: FieldSet | None) -> FieldSet:
    """Return the fields of a new object."""
    if spec is not None:
        rest = {key: value for key, value in after.items() if key != "spec"}
        return dict(sorted({**_of_new(type_, rest, None), **spec}.items()))
    empty: dict[str, Any] = {"metadata": {}}  # which all objects have, so that nobody sets it as such
    return _recall(type_.name, after, lambda: fieldsets.in_order(fieldsets.changed(type_, empty, after)))


def _left(fields: FieldSet, mine: FieldSet) -> FieldSet:
    """Return what stays with another manager."""
    return _recall("-", (fields, mine), lambda: fieldsets.collapsed(fieldsets.subtract(fields, mine)))


def _united(before: FieldSet, mine: FieldSet) -> FieldSet:
    """Return what a manager has set, before and now."""
    return _recall("+", (before, mine), lambda: fieldsets.in_order(fieldsets.union(before, mine)))


def _recall(way: str, given: Any, make: Callable[[], FieldSet]) -> FieldSet:
    """Return the set that was made of the same before, or make it. way: how it is made."""
    key = way, orjson.dumps(given)
    found = _REMEMBERED.get(key)
    if found is None:
        found = make()
        if len(key[1]) <= _MEMORABLE_BYTES:
            if len(_REMEMBERED) >= _MOST_REMEMBERED:
                _REMEMBERED.clear()
            _REMEMBERED[key] = found
    return found


def _entries(old: Object | None, new: Object, subresource: str) -> list[dict[str, Any]]:
    """Choose between the old entries and the writer's; one empty entry means none at all."""
    given = objects.metadata(new).get("managedFields") or []
    before = list(objects.metadata(old or {}).get("managedFields") or ())
    if subresource:
        return before
    if given == [{}] or objects.metadata(new).get("managedFields") == []:
        return []
    return list(given) if given and all(map(_is_valid, given)) else before


def _is_valid(entry: Mapping[str, Any]) -> bool:
    is_known = (
        entry.get("operation") in (entries.UPDATE, entries.APPLY) and entry.get("fieldsType") == "FieldsV1"
    )
    return is_known and bool(entry.get("apiVersion")) and _is_set(entry.get("fieldsV1"))


def _is_set(tree: Any) -> bool:
    return type(tree) is dict and all(
        (key == "." or key[:2] in _ELEMENTS) and _is_set(below) for key, below in tree.items()
    )
