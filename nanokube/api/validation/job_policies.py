"""Validation of what Jobs make of failed and succeeded Pods. Pure.

Source: pkg/apis/batch/validation/validation.go, validatePodFailurePolicy, validateSuccessPolicy.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, metadata, names

_ACTIONS: Final = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS: Final = ("In", "NotIn")
_STATUSES: Final = ("False", "True", "Unknown")
_MAX_RULES: Final = 20
_MAX_CODES: Final = 255
_MAX_CONDITIONS: Final = 20
_MAX_INDEXES: Final = 64 * 1024
_NOT_BOTH: Final = "specifying both OnExitCodes and OnPodConditions is not supported"
_ONE: Final = "specifying one of OnExitCodes and OnPodConditions is required"
_NO_CONTAINER: Final = "must be one of the container or initContainer names in the pod template"


def failure(spec: Object, path: str) -> list[FieldError]:
    """Check the podFailurePolicy of a Job's spec."""
    policy, path = spec.get("podFailurePolicy"), f"{path}.podFailurePolicy.rules"
    if policy is None:
        return []
    rules, pod = policy.get("rules") or (), objects.spec(spec.get("template") or {})
    found = _at_most(rules, _MAX_RULES, path)
    known = {c.get("name") or "" for kind in ("containers", "initContainers") for c in pod.get(kind) or ()}
    for index, rule in enumerate(rules):
        found += _rule(rule, f"{path}[{index}]", spec, known)
    return found


def _at_most(items: Sequence[object], limit: int, path: str) -> list[FieldError]:
    return [field.too_many(path, len(items), limit)] if len(items) > limit else []


def _choice(value: str, allowed: Sequence[str], path: str) -> list[FieldError]:
    if not value:
        listed = " ".join(field.quote(each) for each in allowed)
        return [field.required(path, f"valid values: [{listed}]")]
    return [] if value in allowed else [field.not_supported(path, value, allowed)]


def _rule(rule: Object, path: str, spec: Object, known: Collection[str]) -> list[FieldError]:
    action, codes, conditions = rule.get("action") or "", rule.get("onExitCodes"), rule.get("onPodConditions")
    found = _choice(action, _ACTIONS, f"{path}.action")
    if action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
        detail = "requires the backoffLimitPerIndex to be set"
        found.append(field.invalid(f"{path}.action", action, detail))
    if codes is not None:
        found += _codes(codes, f"{path}.onExitCodes", known)
    if conditions:
        where = f"{path}.onPodConditions"
        found += _at_most(conditions, _MAX_CONDITIONS, where)
        for index, pattern in enumerate(conditions):
            at = f"{where}[{index}]"
            found += formats.each(names.qualified_name, pattern.get("type") or "", f"{at}.type")
            found += _choice(pattern.get("status") or "", _STATUSES, f"{at}.status")
    if codes is not None and conditions:
        found.append(field.invalid(path, field.OMITTED, _NOT_BOTH))
    if codes is None and not conditions:
        found.append(field.invalid(path, field.OMITTED, _ONE))
    return found


def _codes(codes: Object, path: str, known: Collection[str]) -> list[FieldError]:
    operator, name, values = (
        codes.get("operator") or "",
        codes.get("containerName"),
        codes.get("values") or [],
    )
    found, where = _choice(operator, _OPERATORS, f"{path}.operator"), f"{path}.values"
    if name is not None and name not in known:
        found.append(field.invalid(f"{path}.containerName", name, _NO_CONTAINER))
    if not values:
        found.append(field.invalid(where, codes.get("values"), "at least one value is required"))
    found += _at_most(values, _MAX_CODES, where)
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            found.append(field.invalid(f"{where}[{index}]", 0, "must not be 0 for the In operator"))
        if value in values[:index]:
            found.append(field.duplicate(f"{where}[{index}]", value))
    if values != sorted(values):
        found.append(field.invalid(where, values, "must be ordered"))
    return found


def success(spec: Object, path: str) -> list[FieldError]:
    """Check the successPolicy of an Indexed Job's spec."""
    policy, path = spec.get("successPolicy"), f"{path}.successPolicy.rules"
    if policy is None:
        return []
    rules, found = policy.get("rules") or (), list[FieldError]()
    if not rules:
        detail = "at least one rules must be specified when the successPolicy is specified"
        found.append(field.required(path, detail))
    found += _at_most(rules, _MAX_RULES, path)
    for index, rule in enumerate(rules):
        found += _success(rule, f"{path}[{index}]", spec.get("completions") or 0)
    return found


def _success(rule: Object, path: str, completions: int) -> list[FieldError]:
    count, indexes, found, total = (
        rule.get("succeededCount"),
        rule.get("succeededIndexes"),
        list[FieldError](),
        0,
    )
    if count is None and indexes is None:
        detail = "at least one of succeededCount or succeededIndexes must be specified"
        found.append(field.required(path, detail))
    if indexes is not None:
        where = f"{path}.succeededIndexes"
        if len(indexes) > _MAX_INDEXES:
            found.append(field.too_long(where, _MAX_INDEXES))
        try:
            total = count_indexes(indexes, completions)
        except ValueError as err:
            found.append(field.invalid(where, indexes, f"error parsing succeededIndexes: {err}"))
    if count is None:
        return found
    where = f"{path}.succeededCount"
    found += metadata.non_negative(count, where)
    shown = "must be less than or equal to"
    if count > completions:
        detail = f"{shown} {completions} (the number of specified completions)"
        found.append(field.invalid(where, count, detail))
    if indexes is not None and count > total:
        detail = f"{shown} {total} (the number of indexes in the specified succeededIndexes field)"
        found.append(field.invalid(where, count, detail))
    return found


def count_indexes(text: str, completions: int) -> int:
    """Count what "1,3-5" names. Raises ValueError in upstream's words."""
    total, last = 0, -1
    for part in text.split(",") if text else ():
        limits = part.split("-")
        if len(limits) > 2:
            rule = "an index interval can have at most two parts separated by '-'"
            raise ValueError(f"the fragment {field.quote(part)} violates the requirement that {rule}")
        first, *rest = (_index(limit, completions) for limit in limits)
        end = rest[0] if rest else first
        if rest and first >= end:
            raise ValueError(f"non-increasing order, previous: {first}, current: {end}")
        if total and last >= first:
            raise ValueError(f"non-increasing order, previous: {last}, current: {first}")
        total, last = total + end - first + 1, end
    return total


def first_common(text: str, other: str, completions: int) -> int | None:
    """Return the least index that both lists name; parts that cannot be read count for nothing."""
    intervals = [_intervals(each, completions) for each in (text, other)]
    common = (
        max(first, start)
        for first, last in intervals[0]
        for start, end in intervals[1]
        if first <= end and start <= last
    )
    return min(common, default=None)


def _intervals(text: str, completions: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for part in text.split(","):
        try:
            count_indexes(part or "?", completions)
        except ValueError:
            continue
        limits = [int(limit) for limit in part.split("-")]
        found.append((limits[0], limits[-1]))
    return found


def _index(text: str, completions: int) -> int:
    if re.fullmatch("[+-]?[0-9]+", text) is None:
        raise ValueError(f"cannot convert string to integer for index: {field.quote(text)}")
    if int(text) >= completions:
        raise ValueError(f"too large index: {field.quote(text)}")
    return int(text)
