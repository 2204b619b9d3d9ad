"""Server-side apply: merge a configuration into the live object, field by field, with owners. Pure.

A field that another manager owns with another value is a conflict, unless forced; a field that this manager
applied
before and leaves out now is removed, unless someone else owns it too.
Source: sigs.k8s.io/structured-merge-diff, merge/update.go; KEP-555.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import errors, facts, objects
from nanokube.api.objects import Object
from nanokube.api.patch import entries, fieldsets, last_applied, managed, omitted, order
from nanokube.api.patch.fieldsets import FieldSet

BEFORE: Final = "before-first-apply"  # whose what was there is, if nobody was recorded


def apply(
    definition: facts.Definition,
    live: Object | None,
    config: dict[str, Any],
    *,
    manager: str,
    force: bool,
    now: str,
    subresource: str = "",
) -> dict[str, Any]:
    """Return the object after applying; `live` is None for a new one. Raises ApiError (400, 409).

    config: pruned, but with the zeros that Go leaves out (`omitted.restore`): they are set, too.
    """
    if objects.metadata(config).get("managedFields"):
        raise errors.bad_request("metadata.managedFields must be nil")
    type_ = definition.type
    wanted = fieldsets.of(type_, managed.manageable(config, subresource, definition))
    if live is None:
        found: dict[str, Any] = objects.copy(config)
        omitted.drop(type_, found)
        others: list[dict[str, Any]] = []
        time: str | None = now
    else:
        present = _present(definition, live, str(config.get("apiVersion", "")), now, subresource)
        others = [dict(e) for e in present if not entries.matches(e, manager, entries.APPLY, subresource)]
        is_kubectl = manager == last_applied.MANAGER and not subresource
        allowed = last_applied.unchanged(type_, live) if is_kubectl and not force else {}
        _check_conflicts(
            type_, live, managed.manageable(config, subresource, definition), others, allowed, force
        )
        mine = next((e for e in present if entries.matches(e, manager, entries.APPLY, subresource)), {})
        abandoned = fieldsets.subtract(mine.get("fieldsV1") or {}, wanted)
        for other in others:
            abandoned = fieldsets.subtract(abandoned, other.get("fieldsV1") or {})
        found = _remove(type_, objects.copy(dict(live)), abandoned)
        own = objects.copy({k: v for k, v in config.items() if k not in ("apiVersion", "kind")})
        found = _merge(type_, found, own)
        omitted.drop(type_, found)
        if is_kubectl:
            last_applied.refresh(found, config)
        # Who changes nothing keeps the time, or has none. A zero that Go does not store changes it once.
        repeats = mine.get("fieldsV1") == wanted
        is_change = found != live or (not repeats and bool(_differing(type_, live, own)))
        time = now if is_change else mine.get("time")
    _own(found, others, wanted, manager, str(config.get("apiVersion", "")), time, subresource)
    return found


def merge(definition: facts.Definition, live: Object, config: Object) -> dict[str, Any]:
    """Return the object with a configuration's fields, as applying merges them; nobody comes to own them."""
    return _merge(definition.type, objects.copy(dict(live)), objects.copy(dict(config)))


def _own(
    found: dict[str, Any],
    others: list[dict[str, Any]],
    wanted: FieldSet,
    manager: str,
    api_version: str,
    time: str | None,
    subresource: str,
) -> None:
    kept = [e for e in others if e.get("fieldsV1")]
    if wanted:
        sorted_ = fieldsets.in_order(wanted)
        kept.append(entries.entry_of(manager, entries.APPLY, api_version, time, sorted_, subresource))
    found.setdefault("metadata", {})["managedFields"] = entries.in_order(kept)


def _present(
    definition: facts.Definition, live: Object, api_version: str, now: str, subresource: str
) -> list[dict[str, Any]]:
    """List the entries of an object; without any, all that it has is whose that nobody knows."""
    found = list(objects.metadata(live).get("managedFields") or ())
    if found:
        return found
    copy: dict[str, Any] = {**live, "metadata": {**objects.metadata(live)}}
    managed.track_update(
        definition, None, copy, manager=BEFORE, api_version=api_version, now=now, subresource=subresource
    )
    return list(copy["metadata"].get("managedFields") or ())


def _check_conflicts(
    type_: facts.Type,
    live: Object,
    config: Object,
    others: list[dict[str, Any]],
    allowed: FieldSet,
    force: bool,
) -> None:
    """Raise on conflicts that are not allowed; otherwise take the fields from their owners (in place)."""
    differing = _differing(type_, live, config)
    conflicts = [
        (entry, path)
        for entry in others
        for path in sorted(fieldsets.leaves(differing), key=_rank)
        if path and fieldsets.contains(entry.get("fieldsV1") or {}, path)
    ]
    if not conflicts:
        return
    refused = [c for c in conflicts if not fieldsets.contains(allowed, c[1])]
    if force or not refused:
        for entry in others:
            kept = fieldsets.subtract(entry.get("fieldsV1") or {}, differing)
            entry["fieldsV1"] = fieldsets.collapsed(kept)
        return
    raise errors.apply_conflict(*_explain(refused))


def _differing(type_: facts.Type, live: Object, config: Object) -> FieldSet:
    """Return the fields that a configuration has otherwise: zero and null differ from nothing."""
    changed = fieldsets.changed(type_, live, config)
    return fieldsets.union(changed, fieldsets.nulls(type_, live, config))


def _rank(path: tuple[str, ...]) -> list[tuple[bool, str]]:
    """Order paths as upstream lists them: of each struct its own leaves, then what is below."""
    return [(step < len(path) - 1, element) for step, element in enumerate(path)]


def _explain(
    conflicts: list[tuple[dict[str, Any], tuple[str, ...]]],
) -> tuple[list[dict[str, str]], str]:
    causes, by_owner = [], dict[str, list[str]]()
    for entry, path in conflicts:
        using = f' with subresource "{entry["subresource"]}"' if entry.get("subresource") else ""
        owner = f'"{entry.get("manager")}"{using}'
        if entry.get("operation") == entries.UPDATE:
            owner += f" using {entry.get('apiVersion')}"
        text = fieldsets.print_path(path)
        causes.append({"reason": "FieldManagerConflict", "message": f"conflict with {owner}", "field": text})
        by_owner.setdefault(owner, []).append(text)
    total = len(conflicts)
    if total == 1:
        return causes, f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    lines = [
        f"conflicts with {owner}:\n" + "\n".join(f"- {p}" for p in by_owner[owner])
        for owner in sorted(by_owner)
    ]
    return causes, f"Apply failed with {total} conflicts: " + "\n".join(lines)


def _merge(type_: facts.Type | None, live: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    found = dict(live)
    for key, value in config.items():
        found[key] = _merge_field(fieldsets.child_field(type_, key), found.get(key), value)
    return found


def _merge_field(field: facts.Field | None, before: Any, value: Any) -> Any:
    if field is None or type(before) is not type(value):
        return value
    if type(value) is dict:
        return value if fieldsets.is_atomic(field) else _merge(field.type, before, value)
    if type(value) is not list or field.list_type == "atomic":
        return value
    return _merge_items(field, before, value)


def _merge_items(field: facts.Field, before: list[Any], value: list[Any]) -> list[Any]:
    live, wanted = ([fieldsets.item_key(field, item) for item in items] for items in (before, value))
    known = {key: item for key, item in zip(live, before, strict=True) if live.count(key) == 1}
    has_parts = not fieldsets.has_atomic_items(field)
    found = []
    for at, to in order.merged(live, wanted):
        if to is None:
            found.append(before[at or 0])
            continue
        old, item = known.get(wanted[to]), value[to]
        is_struct = has_parts and type(item) is dict and type(old) is dict
        found.append(_merge(field.type.item, old or {}, item) if is_struct else item)
    return found


def _remove(type_: facts.Type | None, live: dict[str, Any], gone: FieldSet) -> dict[str, Any]:
    for element, below in gone.items():
        key = element[2:]
        if element[:2] != "f:" or key not in live:
            continue
        field = fieldsets.child_field(type_, key)
        if not below or ("." in below and type_ is not None and type_.code == "m"):
            del live[key]
        elif type(live[key]) is dict:
            live[key] = _remove(field.type if field else None, live[key], below)
            if not live[key]:
                del live[key]
        elif type(live[key]) is list and field is not None:
            live[key] = _remove_items(field, live[key], below)
            if not live[key]:
                del live[key]
    return live


def _remove_items(field: facts.Field, items: list[Any], gone: FieldSet) -> list[Any]:
    kept = []
    for item in items:
        below = gone.get(fieldsets.item_key(field, item) or "")
        if below is None:
            kept.append(item)
        elif "." not in below and below:
            kept.append(_remove(field.type.item, item, below))
    return kept
