"""Validation of Leases. Pure. Source: pkg/apis/coordination/validation/validation.go."""

from __future__ import annotations

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, names


def validate(obj: Object) -> list[FieldError]:
    """Check a Lease."""
    spec, found = objects.spec(obj), list[FieldError]()
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if duration is not None and duration <= 0:
        found.append(field.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        detail = "must be greater than or equal to 0"
        found.append(field.invalid("spec.leaseTransitions", transitions, detail))
    if spec.get("strategy") is not None:
        found += _strategy(spec["strategy"], "spec.strategy")
    if spec.get("preferredHolder") and not spec.get("strategy"):
        detail = "may only be specified if `strategy` is defined"
        found.append(field.forbidden("spec.preferredHolder", detail))
    return found


def _strategy(name: str, path: str) -> list[FieldError]:
    if "/" in name:
        return formats.each(names.qualified_name, name, f"{path}.strategy")
    # the path is upstream's, which names the field twice
    return formats.choice(name, ("OldestEmulationVersion",), f"{path}.strategy")
