"""The entries of `metadata.managedFields`: what stands in one, their order, how many there may be. Pure.

Source: apimachinery pkg/util/managedfields/internal/{managedfields,capmanagers}.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from nanokube.api.patch import fieldsets
from nanokube.api.patch.fieldsets import FieldSet

Entry: TypeAlias = dict[str, Any]

UPDATE: Final = "Update"
APPLY: Final = "Apply"
MOST_UPDATERS: Final = 10
ANCIENT: Final = "ancient-changes"  # who gets the oldest updates beyond that


def matches(entry: Mapping[str, Any], manager: str, operation: str, subresource: str = "") -> bool:
    """Tell whether an entry is of that manager, operation and subresource."""
    return (entry.get("manager"), entry.get("operation"), entry.get("subresource", "")) == (
        manager,
        operation,
        subresource,
    )


def entry_of(
    manager: str, operation: str, api_version: str, time: str | None, fields: FieldSet, subresource: str = ""
) -> Entry:
    """Build an entry. time: when the manager last changed something, if ever."""
    entry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": api_version,
        **({"time": time} if time else {}),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return {**entry, "subresource": subresource} if subresource else entry


def are_same_but_for_times(some: Sequence[Entry], others: Sequence[Entry]) -> bool:
    """Tell whether two lists differ in nothing but times."""
    return len(some) == len(others) and all(
        {**a, "time": ""} == {**b, "time": ""} for a, b in zip(some, others, strict=True)
    )


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    """Sort entries as they are stored: who applied first, then by time, then by name."""
    return sorted(entries, key=_rank) if len(entries) > 1 else list(entries)


def _rank(entry: Entry) -> tuple[str, str, str, str, str]:
    # RFC 3339 in UTC and whole seconds: the text sorts as the time does
    return (
        entry.get("operation") or "",
        entry.get("time") or "",
        entry.get("manager") or "",
        entry.get("apiVersion") or "",
        entry.get("subresource") or "",
    )


def capped(entries: list[Entry]) -> list[Entry]:
    """Unite the oldest updates of a version while there are more than MOST_UPDATERS."""
    updates = [each for each in entries if each.get("operation") == UPDATE]
    excess = len(updates) - MOST_UPDATERS
    if excess <= 0:
        return entries
    groups: dict[str, list[Entry]] = {}  # by apiVersion
    for each in sorted(updates, key=_rank):
        if excess <= 0:
            break
        group = groups.setdefault(each.get("apiVersion") or "", [])
        group.append(each)
        excess -= len(group) > 1
    united = {version: group for version, group in groups.items() if len(group) > 1}
    gone = [id(each) for group in united.values() for each in group]
    kept = [each for each in entries if id(each) not in gone]
    return kept + [_united(version, group) for version, group in united.items()]


def _united(version: str, group: Sequence[Entry]) -> Entry:
    fields: FieldSet = {}
    for each in group:
        fields = fieldsets.union(fields, each.get("fieldsV1") or {})
    return entry_of(ANCIENT, UPDATE, version, group[-1].get("time") or "", fieldsets.in_order(fields))
