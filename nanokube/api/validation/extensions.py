"""Validation of CustomResourceDefinitions, whose rules are with all else about them. Pure.

The rules use this package, so they are looked up when they are called.
"""

from __future__ import annotations

from nanokube.api.custom import definition
from nanokube.api.field import FieldError
from nanokube.api.objects import Object


def validate(obj: Object) -> list[FieldError]:
    """Check a CustomResourceDefinition."""
    return definition.validate_create(obj)


def validate_replacement(new: Object, old: Object) -> list[FieldError]:
    """Check a CustomResourceDefinition that is to replace another."""
    return definition.validate_update(new, old)


def validate_status(new: Object, old: Object) -> list[FieldError]:
    """Check the new status of a CustomResourceDefinition."""
    return definition.validate_status(new, old)
