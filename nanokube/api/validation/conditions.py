"""Validation of `metav1.Condition` lists in a status. Pure.

Source: apimachinery/pkg/apis/meta/v1/validation/validation.go, ValidateConditions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, names

_STATUSES: Final = ("False", "True", "Unknown")
_REASON: Final = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
_REASON_RULE: Final = (
    "a condition reason must start with alphabetic character, optionally followed by a string of "
    "alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'"
)
_MAX_REASON_BYTES: Final = 1024
_MAX_MESSAGE_BYTES: Final = 32 * 1024


def validate(conditions: Iterable[Any], path: str) -> list[FieldError]:
    """Check each condition, and that each type is there once."""
    found = unique(conditions, path)
    for index, condition in enumerate(conditions):
        found += _condition(condition, f"{path}[{index}]")
    return found


def unique(conditions: Iterable[Any], path: str) -> list[FieldError]:
    """Check that no type is there twice."""
    found, seen = list[FieldError](), set[str]()
    for index, condition in enumerate(conditions):
        kind = condition.get("type") or ""
        if kind in seen:
            found.append(field.duplicate(f"{path}[{index}].type", kind))
        seen.add(kind)
    return found


def _condition(condition: Object, path: str) -> list[FieldError]:
    found = formats.each(names.qualified_name, condition.get("type") or "", f"{path}.type")
    found += formats.choice(condition.get("status"), _STATUSES, f"{path}.status")
    generation = condition.get("observedGeneration") or 0
    if generation < 0:
        detail = "must be greater than or equal to zero"
        found.append(field.invalid(f"{path}.observedGeneration", generation, detail))
    if not condition.get("lastTransitionTime"):
        found.append(field.required(f"{path}.lastTransitionTime"))
    reason = condition.get("reason") or ""
    if not reason:
        found.append(field.required(f"{path}.reason"))
    elif re.fullmatch(_REASON, reason) is None:
        detail = names.regex_error(_REASON_RULE, _REASON, "my_name", "MY_NAME", "MyName", "ReasonA,ReasonB")
        found.append(field.invalid(f"{path}.reason", reason, detail))
    if len(reason.encode()) > _MAX_REASON_BYTES:
        found.append(field.too_long(f"{path}.reason", _MAX_REASON_BYTES))
    if len((condition.get("message") or "").encode()) > _MAX_MESSAGE_BYTES:
        found.append(field.too_long(f"{path}.message", _MAX_MESSAGE_BYTES))
    return found
