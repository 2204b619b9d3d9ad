"""Strategy of volumes and claims: both begin as Pending. Pure.

Source: pkg/registry/core/{persistentvolume,persistentvolumeclaim}/strategy.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api.strategy.rules import Rules


class PendingRules(Rules):
    """Starts with phase Pending."""

    def on_create(self, obj: dict[str, Any]) -> None:
        """Set the phase."""
        obj["status"] = {"phase": "Pending"}


class VolumeRules(PendingRules):
    """Remembers when the phase changed."""

    def on_create(self, obj: dict[str, Any]) -> None:
        """Set phase and time."""
        super().on_create(obj)
        obj["status"]["lastPhaseTransitionTime"] = obj["metadata"]["creationTimestamp"]


CLAIM: Final = PendingRules()
VOLUME: Final = VolumeRules()
