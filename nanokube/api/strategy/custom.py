"""Custom resources: what counts as a new generation, and what /status may change. Pure.

Source: staging apiextensions-apiserver pkg/registry/customresource/{strategy,status_strategy}.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api.objects import Object
from nanokube.api.strategy.rules import Rules

_KEPT: Final = (
    "annotations",
    "labels",
    "finalizers",
    "ownerReferences",
)


class CustomRules(Rules):
    """has_status: /status is served, so that nothing else writes the status."""

    resets_status = False
    status_keeps_metadata = _KEPT

    def __init__(self, *, has_status: bool) -> None:
        self._has_status = has_status

    def on_create(self, obj: dict[str, Any]) -> None:
        """Begin without a status."""
        if self._has_status:
            obj.pop("status", None)

    def is_new_generation(self, new: Object, old: Object) -> bool:
        """Every change but that of metadata counts; a status of its own endpoint does not."""
        ignored = {"metadata", "status"} if self._has_status else {"metadata"}
        keys = {*new, *old} - ignored
        return any(new.get(key) != old.get(key) for key in keys)


PLAIN: Final = CustomRules(has_status=False)
WITH_STATUS: Final = CustomRules(has_status=True)
