"""Strategy of volumes, claims and CSI drivers. Pure.

Source: pkg/registry/core/{persistentvolume,persistentvolumeclaim}/strategy.go,
pkg/registry/storage/csidriver/strategy.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object
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


class DriverRules(Rules):
    """Counts changes from 0 on; the field of a feature that is off (VolumeLimitScaling) is dropped."""

    def on_create(self, obj: dict[str, Any]) -> None:
        """Drop the field."""
        obj["spec"].pop("preventPodSchedulingIfMissing", None)

    def on_update(self, new: dict[str, Any], old: Object) -> None:
        """Drop the field, and count."""
        new["spec"].pop("preventPodSchedulingIfMissing", None)
        if new["spec"] != objects.spec(old):
            new["metadata"]["generation"] = objects.generation(old) + 1


CLAIM: Final = PendingRules()
VOLUME: Final = VolumeRules()
DRIVER: Final = DriverRules()
