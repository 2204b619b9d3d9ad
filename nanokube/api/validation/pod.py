"""Validation of Pods and of what may change in one. Pure. Source: pkg/apis/core/validation/validation.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import pod_spec

_MUTABLE: Final = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
    "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
    "previously negative)"
)


def validate(obj: Object) -> list[FieldError]:
    """Check a Pod."""
    return pod_spec.validate(objects.spec(obj), "spec")


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Check that only the few mutable fields of a Pod changed."""
    spec, before, found = objects.spec(new), objects.spec(old), list[FieldError]()
    deadline, was = spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    if was is not None and (deadline is None or deadline > was):
        detail = (
            f"must be less than or equal to previous value {was}"
            if deadline is not None
            else f"must not update from a positive integer to nil value {was}"
        )
        found.append(field.invalid("spec.activeDeadlineSeconds", deadline, detail))
    kept = [_identity(t) for t in spec.get("tolerations") or ()]
    if any(_identity(t) not in kept for t in before.get("tolerations") or ()):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        found.append(field.forbidden("spec.tolerations", detail))
    if _frozen(spec, before) != _frozen(before, before):
        found.append(field.forbidden("spec", _MUTABLE))
    return found


def _identity(toleration: Object) -> dict[str, Any]:
    return {k: v for k, v in toleration.items() if k != "tolerationSeconds"}


def _frozen(spec: Object, before: Object) -> dict[str, Any]:
    """Return the spec without its mutable parts; gates may be removed, and free the selectors while there."""
    mutable = {"activeDeadlineSeconds", "tolerations", "schedulingGates"}
    if (before.get("terminationGracePeriodSeconds") or 0) < 0 and spec.get(
        "terminationGracePeriodSeconds"
    ) == 1:
        mutable.add("terminationGracePeriodSeconds")
    if before.get("schedulingGates"):
        mutable |= {"nodeSelector", "affinity"}
    found = {k: v for k, v in spec.items() if k not in mutable and v not in ("", [], None)}
    for key in ("containers", "initContainers"):
        if key in found:
            found[key] = [{k: v for k, v in c.items() if k != "image"} for c in found[key]]
    return found
