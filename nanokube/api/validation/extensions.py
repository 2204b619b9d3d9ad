"""Validation of CustomResourceDefinitions, whose rules are with all else about them. Pure.

The rules use this package, so they are looked up when they are called.
"""

from __future__ import annotations

from nanokube.api.custom import definition
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.steps import Steps, finish


def validate(obj: Object) -> list[FieldError]:
    """Check a CustomResourceDefinition."""
    return finish(definition.validate_create(obj))


def validate_replacement(new: Object, old: Object) -> list[FieldError]:
    """Check a CustomResourceDefinition that is to replace another."""
    return finish(definition.validate_update(new, old))


def validate_steps(new: Object, old: Object | None) -> Steps[list[FieldError]]:
    """Check a CustomResourceDefinition of maybe a megabyte. old: what it is to replace."""
    return definition.validate_create(new) if old is None else definition.validate_update(new, old)


def validate_status(new: Object, old: Object) -> list[FieldError]:
    """Check the new status of a CustomResourceDefinition."""
    return definition.validate_status(new, old)
