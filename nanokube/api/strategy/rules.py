"""The hooks that a kind may override; the defaults suit a kind without rules of its own. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nanokube.api.objects import Object

METADATA: Final = ("labels", "annotations", "finalizers", "ownerReferences")


class Rules:
    """Hooks of one kind; each works in place on an object that `strategy` has already prepared."""

    resets_status: bool = True
    """Whether a status given on create is dropped."""
    default_propagation: str = ""
    """What happens to dependents if a deletion does not say: "Orphan", or "" for the usual."""
    status_keeps_metadata: tuple[str, ...] = ()
    """Fields of the metadata that a status update may not change."""

    def on_create(self, obj: dict[str, Any]) -> None:
        """Set what a new object of the kind starts with."""

    def on_update(self, new: dict[str, Any], old: Object) -> None:
        """Keep what an update may not change."""

    def on_status_update(self, new: dict[str, Any], old: Object) -> None:
        """Keep what a status update may not change."""

    def date(self, new: dict[str, Any], old: Object, now: str) -> None:
        """Say since when the new status holds, where it does not."""

    def is_new_generation(self, new: Object, old: Object) -> bool:
        """Tell whether the update counts as a new generation."""
        return bool(new.get("spec") != old.get("spec"))

    def grace_period(self, obj: Object, requested: int | None) -> int:
        """Return the grace period of a deletion in seconds."""
        return 0


class StatusOnlyRules(Rules):
    """A status update changes nothing of the metadata. first: the status of a new object."""

    status_keeps_metadata = METADATA

    def __init__(self, first: Mapping[str, Any] | None = None) -> None:
        self._first = first or {}

    def on_create(self, obj: dict[str, Any]) -> None:
        """Begin with the first status."""
        if self._first:
            obj["status"] = dict(self._first)
