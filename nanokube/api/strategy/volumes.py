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


class ClaimRules(PendingRules):
    """Keeps the two fields that say where the data comes from the same; namespaces are behind a gate.

    Source: pkg/api/persistentvolumeclaim/util.go, EnforceDataSourceBackwardsCompatibility,
    NormalizeDataSources.
    """

    def on_create(self, obj: dict[str, Any]) -> None:
        """Set the phase and both fields."""
        super().on_create(obj)
        _settle_sources(obj["spec"], {})

    def on_update(self, new: dict[str, Any], old: Object) -> None:
        """Fill in the field that an older client left out, or drop what names no source, as on create."""
        spec = new.get("spec")
        if isinstance(spec, dict):
            _settle_sources(spec, objects.spec(old))


def _settle_sources(spec: dict[str, Any], before: Object) -> None:
    """Make dataSource and dataSourceRef the same, in place. before: the spec it had, {} of a new claim."""
    source, ref = spec.get("dataSource"), spec.get("dataSourceRef")
    if ref is not None and ref.get("namespace") and before.get("dataSourceRef") is None:
        del spec["dataSourceRef"]
        ref = None
    had_none = before.get("dataSource") is None and before.get("dataSourceRef") is None
    if source is not None and ref is None and had_none and not _is_claim_or_snapshot(source):
        del spec["dataSource"]
        source = None
    if source is not None and ref is None:
        spec["dataSourceRef"] = _reference(source)
    elif ref is not None and source is None and not ref.get("namespace"):
        spec["dataSource"] = _reference(ref)


def _is_claim_or_snapshot(source: Object) -> bool:
    group, kind = source.get("apiGroup") or "", source.get("kind")
    return (group, kind) in (
        ("", "PersistentVolumeClaim"),
        ("snapshot.storage.k8s.io", "VolumeSnapshot"),
    )


def _reference(source: Object) -> dict[str, Any]:
    return {
        "apiGroup": source.get("apiGroup"),
        "kind": source.get("kind", ""),
        "name": source.get("name", ""),
    }


class VolumeRules(PendingRules):
    """Remembers when the phase changed."""

    def on_create(self, obj: dict[str, Any]) -> None:
        """Set phase and time."""
        super().on_create(obj)
        obj["status"]["lastPhaseTransitionTime"] = obj["metadata"]["creationTimestamp"]

    def date(self, new: dict[str, Any], old: Object, now: str) -> None:
        """Say since when the phase holds, unless the writer says another time."""
        status, before = new.get("status") or {}, objects.status(old)
        known, said = before.get("lastPhaseTransitionTime"), status.get("lastPhaseTransitionTime")
        if status.get("phase") != before.get("phase"):
            if said is None or said == known:
                new["status"] = {**status, "lastPhaseTransitionTime": now}
        elif said is None and known is not None:
            new["status"] = {**status, "lastPhaseTransitionTime": known}


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


CLAIM: Final = ClaimRules()
VOLUME: Final = VolumeRules()
DRIVER: Final = DriverRules()
